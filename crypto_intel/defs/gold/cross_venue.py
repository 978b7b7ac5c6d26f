"""gold.cross_venue by hour: the same asset on every venue, in dollars."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import GOLD_CROSS_VENUE, SILVER_QUOTES
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.cross_venue import cross_venue as compute
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, input_of, table_args


@dg.asset(
    **table_args(GOLD_CROSS_VENUE, {"polars", "deltalake"}),
    ins={"minutes": input_of(GOLD_BARS_1M), "quotes": input_of(SILVER_QUOTES, 1)},
    partitions_def=HOURLY,
    code_version="1",
)
def cross_venue(
    context: dg.AssetExecutionContext, minutes: pl.LazyFrame, quotes: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Closes of our bars and the newest quotes, each against the middle of all."""
    bars = minutes.collect()
    rows = compute(bars, quotes.collect(), hour_start(context.partition_key))
    facts = {
        "assets": rows["base"].n_unique(),
        "left_out_without_rate": bars["symbol"].n_unique() - rows.join(bars, on="symbol")["symbol"].n_unique(),
        "greatest_deviation_pct": float(rows["deviation_pct"].abs().max() or 0),  # type: ignore[arg-type]
    }
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_CROSS_VENUE), **facts})
