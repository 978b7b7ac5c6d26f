"""Binance's klines as an outside check of our bars: parsing, and what differs. Pure.

A venue's kline is what it says of a minute itself; a complete bar of ours must say the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from streaming.errors import RejectedInput
from streaming.producers.wire import UNREADABLE, Int64, event_time_us

RELATIVE_TOLERANCE = 1e-9  # what our bars promise of their sums; prices are the nearest doubles of exact decimals
FIELDS = (
    "open",
    "high",
    "low",
    "close",
    "volume_base",
    "volume_quote",
    "buy_volume_base",
    "trade_count",
)
"""Columns of a bar that a kline has too."""

_WireKline = tuple[Int64, str, str, str, str, str, Int64, str, Int64, str, str, str]
_klines = msgspec.json.Decoder(list[_WireKline])


class Kline(NamedTuple):
    """A window as the venue sums it up; times in µs (the end exclusive), names and units as of our bars."""

    window_start: int
    window_end: int
    open: float
    high: float
    low: float
    close: float
    volume_base: float
    volume_quote: float
    buy_volume_base: float
    trade_count: int


class Difference(NamedTuple):
    """A column of a bar that is not what the venue says."""

    column: str
    ours: float | None
    theirs: float


def parse_klines(body: bytes, received_at: int) -> list[Kline]:
    """Klines of a REST body, in its order; times in milliseconds or microseconds.

    Args:
        body: of `/api/v3/klines`.
        received_at: platform time in microseconds.

    Raises:
        RejectedInput: malformed_json, bad_price, bad_time, future_time.
    """
    try:
        wires = _klines.decode(body)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    return [_kline(wire, received_at) for wire in wires]


def _kline(wire: _WireKline, received_at: int) -> Kline:
    start = event_time_us(wire[0], received_at)
    # The close time is the window's last instant in the unit of the venue: a whole second above it is the end.
    last = wire[6] if wire[6] > 10**14 else wire[6] * 1000
    try:
        o, h, low, c, base, quote, buy = (float(wire[at]) for at in (1, 2, 3, 4, 5, 7, 9))
    except ValueError as error:
        raise RejectedInput("bad_price", str(error)[:200]) from error
    if not all(math.isfinite(value) and value >= 0 for value in (o, h, low, c, base, quote, buy)):
        raise RejectedInput("bad_price", "a value is not finite or below 0")
    return Kline(start, (last // 1_000_000 + 1) * 1_000_000, o, h, low, c, base, quote, buy, wire[8])


def differences(kline: Kline, bar: Mapping[str, float | int | None]) -> list[Difference]:
    """Columns of `FIELDS` in which a bar of the same window differs from the venue's kline.

    Args:
        kline: the venue's.
        bar: a row of bars, by column name; of a quiet bar only volumes and count are compared, since the venue
            repeats the last price too.
    """
    theirs = kline._asdict()
    wanted = FIELDS if kline.trade_count else FIELDS[4:]
    return [
        Difference(name, bar.get(name), theirs[name]) for name in wanted if not _is_same(bar.get(name), theirs[name])
    ]


def _is_same(ours: float | None, theirs: float) -> bool:
    return ours is not None and math.isclose(ours, theirs, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
