"""gold.indicators by hour: TA-Lib's indicators of bars of three lengths."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import GOLD_BARS_1H, GOLD_BARS_5M, GOLD_INDICATORS
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.hours import hour_start
from crypto_intel.core.indicators import HOURS_BACK, indicators_of_hour
from crypto_intel.graph.reports import chart, describe_rows
from crypto_intel.graph.specs import HOURLY, input_of, table_args


@dg.asset(
    **table_args(GOLD_INDICATORS, {"polars", "numpy", "deltalake"}),
    ins={
        "minutes": input_of(GOLD_BARS_1M, HOURS_BACK["1m"]),
        "fives": input_of(GOLD_BARS_5M, HOURS_BACK["5m"]),
        "hours": input_of(GOLD_BARS_1H, HOURS_BACK["1h"]),
    },
    partitions_def=HOURLY,
    code_version="1",
)
def indicators(
    context: dg.AssetExecutionContext, minutes: pl.LazyFrame, fives: pl.LazyFrame, hours: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """From the bars of this hour and of the time before it that they still depend on."""
    bars = {"1m": minutes.collect(), "5m": fives.collect(), "1h": hours.collect()}
    rows = indicators_of_hour(bars, hour_start(context.partition_key))
    shown: dict[str, Any] = {
        "rsi_14_of_minutes": chart(rows.filter(pl.col("interval") == "1m"), "rsi_14"),
        "without_rsi": rows["rsi_14"].null_count(),
    }
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_INDICATORS), **shown})
