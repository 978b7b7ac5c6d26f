"""Technical indicators of bars, computed by TA-Lib; equal to the published tables that the tests hold them to.

What belongs here: which indicators, with which lengths, of which bars. What does not: their arithmetic, which is
TA-Lib's, but for the two that TA-Lib begins otherwise (MACD) or lacks (VWAP), each said where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from crypto_intel.contracts.derived import GOLD_INDICATORS
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel.core.hours import HOUR, event_hour

HOURS_BACK = {"1m": 24, "5m": 24, "1h": 288}
"""Hours of bars before the hour that each interval is computed from: 288 bars or more. What an exponential mean over
26 bars still holds of a bar 288 bars before is 2e-10 of it."""

_MARKET = ["venue", "symbol"]
Floats = npt.NDArray[np.float64]


def indicators_of_hour(bars: Mapping[str, pl.DataFrame], hour: datetime) -> pl.DataFrame:
    """Rows of gold.indicators of an hour.

    Args:
        bars: by interval, bars of the hour and of HOURS_BACK before it.
        hour: its start.
    """
    frames = [
        market_indicators(rows.sort("window_start")).with_columns(interval=pl.lit(interval))
        for interval, frame in bars.items()
        for _, rows in frame.filter(pl.col("close").is_not_null()).group_by(_MARKET)
    ]
    if not frames:
        return empty_frame(GOLD_INDICATORS)
    rows = pl.concat(frames).filter(pl.col("window_start").is_between(hour, hour + HOUR, closed="left"))
    return conform(rows.with_columns(event_hour=pl.lit(event_hour(hour))), GOLD_INDICATORS).sort(GOLD_INDICATORS.key)


def market_indicators(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars of one market, in order of time, with every indicator; null where there are too few bars.

    Args:
        bars: window_start, high, low, close, volume_base; other columns stay.
    """
    close, high, low = (bars[name].cast(pl.Float64).to_numpy() for name in ("close", "high", "low"))
    found = {**of_closes(close), "atr_14": _talib().ATR(high, low, close, 14)}
    columns = [pl.Series(name, values).fill_nan(None) for name, values in found.items()]
    return bars.with_columns(*columns, vwap=_vwap(), bars_used=pl.int_range(1, pl.len() + 1))


def of_closes(close: Floats) -> dict[str, Floats]:
    """Indicators of closes alone; NaN where there are too few."""
    ta = _talib()
    # TA-Lib's own MACD begins its fast mean late, so that both means begin together; the published tables, and most
    # charts, begin each mean with its own first bars.
    macd = ta.EMA(close, 12) - ta.EMA(close, 26)
    signal = _behind_nans(macd, 9)
    upper, middle, lower = ta.BBANDS(close, 20, 2.0, 2.0)
    return {
        "rsi_14": ta.RSI(close, 14),
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": macd - signal,
        "bollinger_middle": middle,
        "bollinger_upper": upper,
        "bollinger_lower": lower,
        "ema_20": ta.EMA(close, 20),
    }


def _behind_nans(values: Floats, length: int) -> Floats:
    # EMA of a series that begins with NaNs.
    known = values[~np.isnan(values)]
    smooth = np.full(values.shape, np.nan)
    if known.size:
        smooth[-known.size :] = _talib().EMA(known, length)
    return smooth


def _vwap() -> pl.Expr:
    # TA-Lib has none: typical price by volume, summed since the day began.
    day = pl.col("window_start").dt.date()
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    volume = pl.col("volume_base").cast(pl.Float64).cum_sum().over(day)
    traded = (typical * pl.col("volume_base")).cum_sum().over(day)
    return pl.when(volume > 0).then(traded / volume)


def _talib() -> Any:
    # Imported on use: it brings pandas along, a second that loading the graph does not need.
    import talib  # noqa: PLC0415

    return talib
