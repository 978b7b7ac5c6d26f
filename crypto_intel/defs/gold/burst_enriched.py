"""gold.burst_enriched by hour: enriched rows of an hour that still runs, of assets whose news came in a burst."""

import dagster as dg
import polars as pl
from pydantic import Field

from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.tables import (
    BRONZE_NEWS,
    GOLD_BURST_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    SILVER_BARS_1M,
)
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import RUNNING_HOURLY, key_of, table_args
from crypto_intel.operations.bursts import enriched_so_far
from crypto_intel.resources.lake import Lake

# As gold.market_enriched: the years before are read too.
_macro = dg.AssetDep(key_of(MACRO_FRED_OBSERVATIONS), partition_mapping=dg.AllPartitionMapping())


class Hit(dg.Config):
    """Whose news came in a burst; none named: every market of the hour."""

    assets: list[str] = Field(default_factory=list, description="Bases of markets, e.g. BTC.")


@dg.asset(
    **table_args(GOLD_BURST_ENRICHED, {"polars", "deltalake"}),
    deps=[*(key_of(table) for table in (BRONZE_NEWS, SILVER_BARS_1M, GOLD_REPAIRED_BARS_1M)), _macro],
    partitions_def=RUNNING_HOURLY,
    code_version="1",
)
def burst_enriched(context: dg.AssetExecutionContext, config: Hit, lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """By the code that makes the closed hour final: stories once, moods scored, macro values as known then."""
    rows = enriched_so_far(lake, hour_start(context.partition_key), config.assets)
    facts = {"news_rows": rows.filter(pl.col("news_count") > 0).height, "scored_rows": rows["sentiment_mean"].count()}
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_BURST_ENRICHED), **facts})
