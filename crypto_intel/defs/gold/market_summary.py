"""gold.market_summary by hour: each market at the hour's end."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import GOLD_BARS_1H, GOLD_MARKET_SUMMARY
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.hours import hour_start
from crypto_intel.core.summary import HOURS_BACK
from crypto_intel.core.summary import market_summary as compute
from crypto_intel.graph.reports import describe_rows, markdown
from crypto_intel.graph.specs import HOURLY, input_of, table_args


@dg.asset(
    **table_args(GOLD_MARKET_SUMMARY, {"polars", "deltalake"}),
    ins={"minutes": input_of(GOLD_BARS_1M), "hours": input_of(GOLD_BARS_1H, HOURS_BACK)},
    partitions_def=HOURLY,
    code_version="1",
)
def market_summary(
    context: dg.AssetExecutionContext, minutes: pl.LazyFrame, hours: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Mean, low and high of the hour, volume and rank of the day that ends with it."""
    rows = compute(minutes.collect(), hours.collect(), hour_start(context.partition_key))
    ranked = rows.sort("rank_24h", nulls_last=True).select("rank_24h", "venue", "symbol", "close", "change_24h_pct")
    shown = {"ranking": dg.MetadataValue.md(markdown(ranked.head(20)))}
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_MARKET_SUMMARY), **shown})
