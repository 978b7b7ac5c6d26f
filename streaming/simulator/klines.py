"""Klines, counted from trades: an outside check of the platform's bars that shares no code with them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from streaming.simulator.venue import E8, Backing, VenueSymbol, VenueTrade

INTERVALS_US = {"1s": 1_000_000, "1m": 60_000_000, "5m": 300_000_000, "15m": 900_000_000, "1h": 3_600_000_000}
_PAGE = 10_000


@dataclass(frozen=True)
class Kline:
    """One bar; prices and amounts in 1e-8, times in microseconds."""

    start_us: int
    open_e8: int
    high_e8: int
    low_e8: int
    close_e8: int
    volume_e8: int
    quote_e8: int
    trades: int
    taker_base_e8: int
    taker_quote_e8: int


def klines(backing: Backing, symbol: VenueSymbol, interval_us: int, span: tuple[int, int], limit: int) -> list[Kline]:
    """Up to `limit` bars that open within `span`; bars without trades repeat the close before, as the venue's do."""
    first = -(-span[0] // interval_us) * interval_us
    last = min(span[1] // interval_us * interval_us, first + (limit - 1) * interval_us)
    trades = _between(backing, symbol, first, last + interval_us)
    bars: list[Kline] = []
    for start, group in groupby(trades, key=lambda trade: trade.time_us // interval_us * interval_us):
        while bars and bars[-1].start_us + interval_us < start:
            bars.append(_quiet(bars[-1], interval_us))
        bars.append(_bar(start, list(group)))
    return bars


def _between(backing: Backing, symbol: VenueSymbol, start_us: int, end_us: int) -> list[VenueTrade]:
    found: list[VenueTrade] = []
    after = start_us - 1
    while True:
        page = backing.trades_since(symbol, after, _PAGE)
        found.extend(trade for trade in page if trade.time_us < end_us)
        if len(page) < _PAGE or page[-1].time_us >= end_us:
            return found
        after = page[-1].time_us


def _bar(start_us: int, trades: list[VenueTrade]) -> Kline:
    prices = [trade.price_e8 for trade in trades]
    taken = [trade for trade in trades if not trade.buyer_is_maker]
    return Kline(
        start_us=start_us,
        open_e8=prices[0],
        high_e8=max(prices),
        low_e8=min(prices),
        close_e8=prices[-1],
        volume_e8=sum(trade.quantity_e8 for trade in trades),
        quote_e8=sum(_quote(trade) for trade in trades),
        trades=len(trades),
        taker_base_e8=sum(trade.quantity_e8 for trade in taken),
        taker_quote_e8=sum(_quote(trade) for trade in taken),
    )


def _quote(trade: VenueTrade) -> int:
    return trade.price_e8 * trade.quantity_e8 // E8


def _quiet(before: Kline, interval_us: int) -> Kline:
    price = before.close_e8
    return Kline(before.start_us + interval_us, price, price, price, price, 0, 0, 0, 0, 0)
