"""gold.market_enriched by hour: bars, the news around them, macro values as known then."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_NEWS, GOLD_BARS_1M, GOLD_MARKET_ENRICHED, MACRO_FRED_OBSERVATIONS
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, key_of, table_args
from crypto_intel.operations.enriching import enriched
from crypto_intel.resources.lake import Lake

# An hour reads the years before it too; Dagster has no mapping from a dimension with an offset.
_macro = dg.AssetDep(key_of(MACRO_FRED_OBSERVATIONS), partition_mapping=dg.AllPartitionMapping())


@dg.asset(
    **table_args(GOLD_MARKET_ENRICHED, {"polars", "deltalake"}),
    ins={"bars": dg.AssetIn(key_of(GOLD_BARS_1M))},
    deps=[key_of(BRONZE_NEWS), _macro],
    partitions_def=HOURLY,
    code_version="1",
)
def market_enriched(
    context: dg.AssetExecutionContext, bars: pl.LazyFrame, lake: Lake
) -> dg.MaterializeResult[pl.DataFrame]:
    """Final rows of the hour; those that did not change since an earlier run keep their revision."""
    start = hour_start(context.partition_key)
    rows = enriched(lake, bars.collect(), start, GOLD_MARKET_ENRICHED, is_final=True)
    facts: dict[str, Any] = {
        "news_rows": rows.filter(pl.col("news_count") > 0).height,
        "macro_rows": rows.filter(pl.col("fed_funds_pct").is_not_null()).height,
        "newest_revision": rows["revision"].max() if rows.height else 0,
        "source": Settings().source,
    }
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_MARKET_ENRICHED), **facts})
