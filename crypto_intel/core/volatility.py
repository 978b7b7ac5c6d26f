"""Returns of each minute and the volatility realized over the hour and the day before its end."""

from __future__ import annotations

import math
from datetime import datetime

import polars as pl

from crypto_intel.contracts.derived import GOLD_RETURNS_VOLATILITY
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR

HOURS_BACK = 24
"""Hours of bars before the hour that are needed: the longest window is a day."""

MIN_SHARE = 0.5
"""A window of which fewer returns are known says nothing."""

_HOURS_A_YEAR = 24 * 365
_MARKET = ["venue", "symbol"]


def returns_volatility(bars: pl.DataFrame, hour: datetime) -> pl.DataFrame:
    """Rows of gold.returns_volatility of an hour.

    A return spans exactly one minute: behind a minute without a bar there is none.

    Args:
        bars: rows of gold.bars_1m of the hour and of HOURS_BACK before it.
        hour: its start.
    """
    ordered = bars.sort(*_MARKET, "window_start")
    is_next = pl.col("window_start") - pl.col("window_start").shift(1).over(_MARKET) == pl.duration(minutes=1)
    ratio = pl.when(is_next).then(pl.col("close") / pl.col("close").shift(1).over(_MARKET))
    rows = ordered.with_columns(return_pct=100 * (ratio - 1), log_return_pct=100 * ratio.log())
    for name, minutes in (("1h", 60), ("24h", 1440)):
        rows = rows.with_columns(
            (pl.col("log_return_pct") ** 2)
            .rolling_sum_by("window_start", f"{minutes}m")
            .over(_MARKET)
            .clip(lower_bound=0)  # a running sum of squares may end a hair below zero
            .sqrt()
            .alias(f"realized_volatility_{name}_pct"),
            pl.col("log_return_pct")
            .is_not_null()
            .cast(pl.Int64)
            .rolling_sum_by("window_start", f"{minutes}m")
            .over(_MARKET)
            .alias(f"return_count_{name}"),
        ).with_columns(
            pl.when(pl.col(f"return_count_{name}") >= minutes * MIN_SHARE).then(f"realized_volatility_{name}_pct")
        )
    finished = rows.filter(pl.col("window_start").is_between(hour, hour + HOUR, closed="left")).with_columns(
        annualized_volatility_pct=pl.col("realized_volatility_1h_pct") * math.sqrt(_HOURS_A_YEAR)
    )
    return conform(finished, GOLD_RETURNS_VOLATILITY).sort(GOLD_RETURNS_VOLATILITY.key)
