"""The silver tables that the Spark application writes, observed."""

from collections.abc import Iterator

import dagster as dg

from crypto_intel.contracts.tables import SILVER_BAR_NEWS
from crypto_intel.observing import JOBS, STREAMED_SILVER_TABLES, observe_tables
from crypto_intel.resources.lake import Lake
from crypto_intel.specs import streamed_table_spec


@dg.multi_observable_source_asset(
    name="streamed_silver_tables",
    can_subset=True,
    specs=[
        streamed_table_spec(table, [JOBS["bar_news" if table is SILVER_BAR_NEWS else "bars"]])
        for table in STREAMED_SILVER_TABLES
    ],
)
def streamed_silver_tables(context: dg.AssetExecutionContext, lake: Lake) -> Iterator[dg.ObserveResult]:
    """What each table's log says."""
    for observed in observe_tables(lake, STREAMED_SILVER_TABLES):
        if observed.key in context.selected_asset_keys:
            yield observed.result()
