"""Reads what a recorded message says, as far as playing needs it: its feed, its market, its trades. Pure.

A message that cannot be read is played all the same, as what it was: somebody else's problem to refuse.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from crypto_intel.contracts.symbols import Symbol
from streaming.errors import FatalError
from streaming.recorder.lines import Line
from streaming.simulator import binance, kraken
from streaming.simulator.venue import E8, Frame, VenueSymbol, VenueTrade

_MICROSECONDS_FROM = 100_000_000_000_000  # as milliseconds this is the year 5138
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "BTC", "ETH", "BNB", "EUR")
_NO_FEED = ""


class Played(NamedTuple):
    """A message as a frame, its market if it has one, and its trades that have ids."""

    frame: Frame
    symbol: VenueSymbol | None
    trades: tuple[VenueTrade, ...] = ()


class _BinanceTrade(msgspec.Struct):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _BinanceFrame(msgspec.Struct):
    # Recorders write REST answers among the frames (order book snapshots): those have no stream.
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _KrakenTrade(msgspec.Struct):
    symbol: str
    side: str
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: int
    timestamp: str


class _KrakenMessage(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Named(msgspec.Struct):
    symbol: str


_binance_frame = msgspec.json.Decoder(_BinanceFrame)
_binance_trade = msgspec.json.Decoder(_BinanceTrade)
_kraken_message = msgspec.json.Decoder(_KrakenMessage)
_kraken_trades = msgspec.json.Decoder(list[_KrakenTrade])
_kraken_named = msgspec.json.Decoder(list[_Named])


def played(line: Line) -> Played:
    """What a line is when it is played."""
    readers = {"binance": _binance, "kraken/v2": _v2, "kraken/v1": _v1}
    try:
        return readers[line.protocol](line)
    except (msgspec.DecodeError, ValueError, IndexError, TypeError, FatalError):
        return Played(Frame(_NO_FEED, "", 0, line.payload), None)


def symbol_of(name: str) -> VenueSymbol:
    """The symbol of Binance's spelling, split by the quote assets that the venue is known to have.

    Raises:
        FatalError: no known quote asset fits.
    """
    for quote in _QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return VenueSymbol(name.removesuffix(quote), quote)
    raise FatalError(f"cannot tell base and quote of {name}")


def pair_of(name: str) -> VenueSymbol:
    """The symbol of Kraken's spelling, old or new."""
    symbol = Symbol(name)
    return VenueSymbol(symbol.base, symbol.quote, 1, 1, "kraken")


def _binance(line: Line) -> Played:
    wire = _binance_frame.decode(line.payload)
    name, _, kind = wire.stream.partition("@")
    if not kind:
        return Played(Frame(_NO_FEED, "", 0, line.payload), None)
    symbol = symbol_of(name.upper())
    if kind != "trade":
        return Played(Frame(wire.stream, symbol.market, 0, line.payload), symbol)
    trade = _binance_trade.decode(wire.data)
    time_us = trade.T if trade.T >= _MICROSECONDS_FROM else trade.T * 1_000
    known = VenueTrade(trade.t, time_us, _e8(trade.p), _e8(trade.q), trade.m)
    return Played(Frame(binance.stream_name(symbol, kind), symbol.market, trade.t, line.payload), symbol, (known,))


def _v2(line: Line) -> Played:
    wire = _kraken_message.decode(line.payload)
    if wire.channel != kraken.TRADE:
        named = _kraken_named.decode(wire.data) if wire.channel not in {"", "heartbeat", "status"} else []
        symbol = pair_of(named[0].symbol) if named else None
        stream = kraken.stream_name(kraken.V2, wire.channel, symbol) if symbol else _NO_FEED
        return Played(Frame(stream, symbol.market if symbol else "", 0, line.payload), symbol)
    trades = _kraken_trades.decode(wire.data)
    symbol = pair_of(trades[0].symbol)
    known = tuple(
        VenueTrade(
            trade.trade_id,
            round(datetime.fromisoformat(trade.timestamp).timestamp() * 1e6),
            _e8(bytes(trade.price).decode()),
            _e8(bytes(trade.qty).decode()),
            trade.side == "sell",
        )
        for trade in trades
        if trade.symbol == symbol.name
    )
    ids = tuple(trade.trade_id for trade in known)
    stream = kraken.stream_name(kraken.V2, kraken.TRADE, symbol)
    return Played(Frame(stream, symbol.market, ids[0], line.payload, known[0].time_us, ids=ids), symbol, known)


def _v1(line: Line) -> Played:
    message: Any = msgspec.json.decode(line.payload)
    if not isinstance(message, list):
        return Played(Frame(_NO_FEED, "", 0, line.payload), None)
    channel, symbol = str(message[-2]), pair_of(message[-1])
    count = len(message[1]) if channel == kraken.TRADE else 0
    stream = kraken.stream_name(kraken.V1, channel, symbol)
    return Played(Frame(stream, symbol.market, 0, line.payload, unnumbered=count), symbol)


def _e8(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * E8 + int(fraction.ljust(8, "0")[:8] or "0")
