"""Binance's klines, asked for to check our bars with: an outside witness, never a source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import polars as pl

from crypto_intel.core.errors import PermanentError, TransientError
from crypto_intel.core.hours import HOUR
from crypto_intel.settings import PlatformSettings
from streaming.errors import RejectedInput
from streaming.producers.klines import Kline, differences, parse_klines

TIMEOUT_S = 10
_SCHEMA: dict[str, Any] = {
    "symbol": pl.String,
    "window_start": pl.Datetime("us", "UTC"),
    "column": pl.String,
    "ours": pl.Float64,
    "theirs": pl.Float64,
}


class Klines:
    """Asks the venue, or the simulator that speaks its protocol."""

    def of_hour(self, symbol: str, hour: datetime) -> list[Kline]:
        """The minutes of an hour of a market.

        Raises:
            TransientError: the venue does not answer.
            PermanentError: it refuses, or answers what is none.
        """
        start_ms = int(hour.timestamp() * 1000)
        end_ms = start_ms + int(HOUR / timedelta(milliseconds=1)) - 1
        query: dict[str, str | int] = {"symbol": symbol.replace("-", ""), "interval": "1m", "limit": 60}
        address = PlatformSettings().binance.rest_url.rstrip("/")
        try:
            response = httpx.get(
                f"{address}/api/v3/klines",
                params={**query, "startTime": start_ms, "endTime": end_ms},
                timeout=TIMEOUT_S,
            )
        except httpx.TransportError as error:
            raise TransientError(f"Binance's klines: {type(error).__name__}") from error
        if response.status_code != httpx.codes.OK:
            raise PermanentError(f"Binance's klines: HTTP {response.status_code}")
        try:
            return parse_klines(response.content, int((hour + HOUR + timedelta(days=36500)).timestamp() * 1_000_000))
        except RejectedInput as error:
            raise PermanentError(f"Binance's klines: {error}") from error


def differing_bars(klines: Klines, bars: pl.DataFrame, hour: datetime) -> pl.DataFrame:
    """Columns of bars that differ from the venue's: symbol, window_start, column, ours, theirs.

    Args:
        bars: rows of gold.bars_1m of the hour, of Binance.

    Raises as `Klines.of_hour` does.
    """
    rows = [row for symbol in bars["symbol"].unique().sort() for row in _differing(klines, bars, symbol, hour)]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _differing(
    klines: Klines, bars: pl.DataFrame, symbol: str, hour: datetime
) -> Iterator[tuple[str, datetime, str, float | None, float]]:
    theirs = {kline.window_start: kline for kline in klines.of_hour(symbol, hour)}
    for bar in bars.filter(pl.col("symbol") == symbol).iter_rows(named=True):
        kline = theirs.get(int(bar["window_start"].timestamp() * 1_000_000))
        if kline is not None:
            yield from ((symbol, bar["window_start"], d.column, d.ours, d.theirs) for d in differences(kline, bar))
