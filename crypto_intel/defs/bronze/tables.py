"""The bronze tables, observed: Delta version, rows, newest event."""

from collections.abc import Iterator

import dagster as dg

from crypto_intel.observing import BRONZE_TABLES, JOBS, observe_tables
from crypto_intel.resources.lake import Lake
from crypto_intel.specs import streamed_table_spec


@dg.multi_observable_source_asset(
    name="bronze_tables",
    can_subset=True,
    specs=[streamed_table_spec(table, [JOBS["ingest"]]) for table in BRONZE_TABLES],
)
def bronze_tables(context: dg.AssetExecutionContext, lake: Lake) -> Iterator[dg.ObserveResult]:
    """What each table's log says."""
    for observed in observe_tables(lake, BRONZE_TABLES):
        if observed.key in context.selected_asset_keys:
            yield observed.result()
