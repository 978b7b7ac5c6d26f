"""gold.bars_1m by hour: recomputed from silver.trades by the very fold that the stream uses, market by market."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, GOLD_BARS_1M, SILVER_TRADES
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, key_of, table_args
from crypto_intel.operations.batch import bars_of_hour
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.spark import BatchSpark


@dg.asset(
    **table_args(GOLD_BARS_1M, {"pyspark", "polars", "deltalake"}),
    ins={"trades": dg.AssetIn(key_of(SILVER_TRADES))},
    deps=[key_of(BRONZE_FEED_STATUS), key_of(BRONZE_TRADES)],
    partitions_def=HOURLY,
    code_version="1",
)
def bars_1m(
    context: dg.AssetExecutionContext, trades: pl.LazyFrame, lake: Lake, spark: BatchSpark
) -> dg.MaterializeResult[pl.DataFrame]:
    """Bars of the hour, with coverage and completeness from the feed's own signs of life."""
    rows = bars_of_hour(trades.collect(), lake, spark, hour_start(context.partition_key))
    complete = rows.filter(pl.col("completeness") != "partial").height
    facts = {"trade_count": int(rows["trade_count"].sum()), "complete_pct": 100 * complete / max(rows.height, 1)}
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_BARS_1M), **facts})
