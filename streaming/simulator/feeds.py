"""Every WebSocket feed of a seeded market: its name, and how it is made of the trades of a tick.

What belongs here: which feeds exist and how often each speaks. Their wire forms are in binance.py and kraken.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from streaming.simulator import binance, kraken
from streaming.simulator.venue import Day, Frame, VenueSymbol, VenueTrade

TICKER_US = 1_000_000  # Binance tells the 24-hour figures this often

Feed = Callable[[Sequence[VenueTrade]], list[Frame]]
"""Frames of a tick's trades, of which there is at least one."""

DayAt = Callable[[int], Day]


def feeds_of(symbol: VenueSymbol, day_at: DayAt) -> dict[str, Feed]:
    """All feeds of a symbol by name; `day_at` tells the last 24 hours at a time in microseconds."""
    return _kraken(symbol, day_at) if symbol.venue == "kraken" else _binance(symbol, day_at)


def _binance(symbol: VenueSymbol, day_at: DayAt) -> dict[str, Feed]:
    return _binance_in(symbol, day_at, in_microseconds=False) | _binance_in(symbol, day_at, in_microseconds=True)


def _binance_in(symbol: VenueSymbol, day_at: DayAt, *, in_microseconds: bool) -> dict[str, Feed]:
    kinds: dict[str, Feed] = {
        "trade": partial(binance.trade_frames, symbol, in_microseconds=in_microseconds),
        "aggTrade": partial(binance.agg_trade_frames, symbol, in_microseconds=in_microseconds),
        "bookTicker": _last(partial(binance.book_ticker_frame, symbol, in_microseconds=in_microseconds)),
        "ticker": _BinanceTicker(symbol, day_at, in_microseconds=in_microseconds),
    }
    suffix = binance.MICROSECONDS if in_microseconds else ""
    return {binance.stream_name(symbol, kind) + suffix: feed for kind, feed in kinds.items()}


def _last(make: Callable[[VenueTrade], Frame]) -> Feed:
    return lambda trades: [make(trades[-1])]


class _BinanceTicker:
    """Speaks at most once a second."""

    def __init__(self, symbol: VenueSymbol, day_at: DayAt, *, in_microseconds: bool) -> None:
        self._symbol = symbol
        self._day_at = day_at
        self._in_microseconds = in_microseconds
        self._next_us = 0

    def __call__(self, trades: Sequence[VenueTrade]) -> list[Frame]:
        last = trades[-1]
        if last.time_us < self._next_us:
            return []
        self._next_us = last.time_us + TICKER_US
        day = self._day_at(last.time_us)
        frame = binance.ticker_frame(self._symbol, last, day, last.time_us, in_microseconds=self._in_microseconds)
        return [frame]


def _kraken(symbol: VenueSymbol, day_at: DayAt) -> dict[str, Feed]:
    def ticker(version: str, make: Callable[[VenueSymbol, VenueTrade, Day], bytes]) -> Feed:
        stream = kraken.stream_name(version, kraken.TICKER, symbol)

        def feed(trades: Sequence[VenueTrade]) -> list[Frame]:
            last = trades[-1]
            return [Frame(stream, symbol.market, 0, make(symbol, last, day_at(last.time_us)), last.time_us)]

        return feed

    return {
        kraken.stream_name(kraken.V2, kraken.TRADE, symbol): partial(kraken.trade_frames_v2, symbol),
        kraken.stream_name(kraken.V1, kraken.TRADE, symbol): partial(kraken.trade_frames_v1, symbol),
        kraken.stream_name(kraken.V2, kraken.TICKER, symbol): ticker(
            kraken.V2, partial(kraken.ticker_v2, kind="update")
        ),
        kraken.stream_name(kraken.V1, kraken.TICKER, symbol): ticker(kraken.V1, kraken.ticker_v1),
    }
