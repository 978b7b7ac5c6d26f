"""gold.bars_5m, bars_1h and bars_1d: longer bars from shorter ones, by the rules of the fold."""

from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.automation.conditions import WHEN_A_DAY_IS_CLOSED_OR_AN_HOUR_MADE_AGAIN
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import GOLD_BARS_1D, GOLD_BARS_1H, GOLD_BARS_5M
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.bars import longer_bars
from crypto_intel.core.hours import HOUR, day_start, hour_start
from crypto_intel.graph.reports import describe_rows, prices_chart
from crypto_intel.graph.specs import CLOSED_DAYS, DAILY, HOURLY, input_of, key_of, table_args, told_spec

_KINDS = {"polars", "deltalake"}
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)

CLOSE_BEFORE = 24
"""How many hours back the close before the first window is looked for: a feed that was away for longer starts anew."""


def _result(rows: pl.DataFrame, table: Table) -> dg.MaterializeResult[pl.DataFrame]:
    partial = rows.filter(pl.col("completeness") == "partial").height
    facts: dict[str, Any] = {
        "trade_count": int(rows["trade_count"].sum()),
        "partial": partial,
        "closes": prices_chart(rows),
    }
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, table), **facts})


@dg.asset(
    **table_args(GOLD_BARS_5M, _KINDS),
    ins={"minutes": input_of(GOLD_BARS_1M, CLOSE_BEFORE)},
    partitions_def=HOURLY,
    code_version="1",
)
def bars_5m(context: dg.AssetExecutionContext, minutes: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
    """Twelve bars a market."""
    start = hour_start(context.partition_key)
    rows = longer_bars(minutes.collect(), GOLD_BARS_5M, every=5 * _MINUTE, part=_MINUTE, start=start, end=start + HOUR)
    return _result(rows, GOLD_BARS_5M)


@dg.asset(
    **table_args(GOLD_BARS_1H, _KINDS),
    ins={"minutes": input_of(GOLD_BARS_1M, CLOSE_BEFORE)},
    partitions_def=HOURLY,
    code_version="1",
)
def bars_1h(context: dg.AssetExecutionContext, minutes: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
    """One bar a market."""
    start = hour_start(context.partition_key)
    rows = longer_bars(minutes.collect(), GOLD_BARS_1H, every=HOUR, part=_MINUTE, start=start, end=start + HOUR)
    return _result(rows, GOLD_BARS_1H)


closed_days = told_spec(
    CLOSED_DAYS,
    "UTC days that are over by the platform clock and whose hours with trades are all made; told without a run.",
    [key_of(GOLD_BARS_1H)],
    DAILY,
)


@dg.asset(
    **table_args(GOLD_BARS_1D, _KINDS),
    ins={"hours": input_of(GOLD_BARS_1H, 1)},
    deps=[CLOSED_DAYS],
    partitions_def=DAILY,
    automation_condition=WHEN_A_DAY_IS_CLOSED_OR_AN_HOUR_MADE_AGAIN,
    code_version="1",
)
def bars_1d(context: dg.AssetExecutionContext, hours: pl.LazyFrame) -> dg.MaterializeResult[pl.DataFrame]:
    """One bar a market and UTC day."""
    start = day_start(context.partition_key)
    rows = longer_bars(hours.collect(), GOLD_BARS_1D, every=_DAY, part=HOUR, start=start, end=start + _DAY)
    return _result(rows, GOLD_BARS_1D)
