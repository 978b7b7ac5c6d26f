"""gold.returns_volatility by hour: returns of the minutes, volatility of the hour and the day before each."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import GOLD_RETURNS_VOLATILITY
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.hours import hour_start
from crypto_intel.core.volatility import HOURS_BACK
from crypto_intel.core.volatility import returns_volatility as compute
from crypto_intel.graph.reports import chart, describe_rows
from crypto_intel.graph.specs import HOURLY, input_of, table_args


@dg.asset(
    **table_args(GOLD_RETURNS_VOLATILITY, {"polars", "deltalake"}),
    ins={"minutes": input_of(GOLD_BARS_1M, HOURS_BACK)},
    partitions_def=HOURLY,
    code_version="1",
)
def returns_volatility(context: dg.AssetExecutionContext, minutes: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
    """From the closes of the minutes of this hour and of the day before it."""
    rows = compute(minutes.collect(), hour_start(context.partition_key))
    shown = {"volatility": chart(rows, "realized_volatility_1h_pct")}
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_RETURNS_VOLATILITY), **shown})
