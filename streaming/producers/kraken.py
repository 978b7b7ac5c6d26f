"""Kraken's WebSocket v2: wire structs and parsing. Pure; v1's arrays are in kraken_v1.py, REST in kraken_rest.py.

Formats: objects with a `channel` (trade, ticker, heartbeat, status), answers to subscriptions with a `method`. Prices
and quantities are JSON numbers: their literal text is kept, never a float. Times are RFC 3339. The trade channel sends
a market's last 50 trades again with every subscription, as a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from crypto_intel.contracts.events import Quote, Trade
from crypto_intel.contracts.symbols import Symbol
from streaming.errors import RejectedInput
from streaming.producers import kraken_v1
from streaming.producers.venue import Alive, Closing, Ignored, Parsed, Snapshot
from streaming.producers.wire import (
    MAX_INT64,
    UNREADABLE,
    Int64,
    any_json,
    check_decimal,
    check_text,
    check_time,
    data_fault,
    decimal_or_none,
    known_symbol,
    number_text,
    refuse_repeated_keys,
    rfc3339_us,
)

VENUE = "kraken"
CHANNELS = ("trade", "ticker")
_ENVELOPE_KEYS = 3


class WireTrade(msgspec.Struct, frozen=True):
    """An element of the trade channel's data; the venue's names."""

    symbol: str  # BTC/USD
    side: Literal["buy", "sell"]
    price: msgspec.Raw  # number
    qty: msgspec.Raw  # number
    ord_type: str
    trade_id: Int64  # counts the trades of the market
    timestamp: str


class WireTrades(msgspec.Struct, frozen=True):
    """A frame of the trade channel."""

    channel: str
    type: Literal["snapshot", "update"]
    data: list[WireTrade]


class WireTicker(msgspec.Struct, frozen=True):
    """An element of the ticker channel's data, as far as we need it; numbers."""

    symbol: str
    bid: msgspec.Raw
    bid_qty: msgspec.Raw
    ask: msgspec.Raw
    ask_qty: msgspec.Raw
    last: msgspec.Raw
    volume: msgspec.Raw  # of 24 hours, in base
    change_pct: msgspec.Raw  # of 24 hours, with a sign
    timestamp: str | None = None  # older servers send none


class WireTickers(msgspec.Struct, frozen=True):
    """A frame of the ticker channel."""

    data: list[WireTicker]


class _Envelope(msgspec.Struct, frozen=True):
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_envelope = msgspec.json.Decoder(_Envelope)
_trades = msgspec.json.Decoder(WireTrades)
_tickers = msgspec.json.Decoder(WireTickers)


def parse_frame(raw: bytes, received_at: int, known_symbols: Mapping[str, str]) -> tuple[Parsed, ...]:
    """The events of a frame, v2 or v1, in order.

    Args:
        raw: the message.
        received_at: platform time in microseconds.
        known_symbols: our symbols by any of the venue's spellings.

    Raises:
        RejectedInput: with one of the reasons too_large, not_utf8, malformed_json, wrong_type, missing_field,
            repeated_key, venue_error, unknown_symbol, bad_price, bad_quantity, bad_change, bad_side, bad_id, bad_time,
            future_time. One bad trade spoils the frame: REST gives the good ones of it again.
    """
    check_text(raw)
    if raw.lstrip()[:1] == b"[":
        return kraken_v1.parse_array(raw, received_at, known_symbols)
    try:
        channel = _envelope.decode(raw).channel
        if channel == "trade":
            return _parse_trades(raw, received_at, known_symbols)
        if channel == "ticker":
            return _parse_tickers(raw, received_at, known_symbols)
    except UNREADABLE as error:
        raise _fault(raw) from error
    if channel == "heartbeat":
        return (Alive(),)
    return (_control(raw) if channel in (None, "status") else Ignored(channel),)


def _parse_trades(raw: bytes, received_at: int, known_symbols: Mapping[str, str]) -> tuple[Parsed, ...]:
    frame = _trades.decode(raw)
    refuse_repeated_keys(raw, _ENVELOPE_KEYS + len(WireTrade.__struct_fields__) * len(frame.data))
    trades = tuple(_trade(wire, received_at, known_symbols) for wire in frame.data)
    if frame.type == "update":
        return trades
    return tuple(
        Snapshot(tuple(sorted((t for t in trades if t.symbol == symbol), key=lambda trade: trade.trade_id)))
        for symbol in dict.fromkeys(trade.symbol for trade in trades)
    )


def _trade(wire: WireTrade, received_at: int, known_symbols: Mapping[str, str]) -> Trade:
    return Trade(
        venue=VENUE,
        symbol=known_symbol(wire.symbol, known_symbols),
        trade_id=wire.trade_id,
        price=_positive("bad_price", wire.price),
        quantity=_positive("bad_quantity", wire.qty),
        taker_side=wire.side,
        event_time=check_time(rfc3339_us(wire.timestamp), received_at),
        received_at=received_at,
    )


def _parse_tickers(raw: bytes, received_at: int, known_symbols: Mapping[str, str]) -> tuple[Parsed, ...]:
    frame = _tickers.decode(raw)
    refuse_repeated_keys(raw, -1)
    return tuple(_quote(wire, received_at, known_symbols) for wire in frame.data)


def _quote(wire: WireTicker, received_at: int, known_symbols: Mapping[str, str]) -> Quote:
    is_timed = wire.timestamp is not None
    return Quote(
        venue=VENUE,
        symbol=known_symbol(wire.symbol, known_symbols),
        price=_positive("bad_price", wire.last),
        event_time=check_time(rfc3339_us(wire.timestamp or ""), received_at) if is_timed else received_at,
        received_at=received_at,
        bid=_number("bad_price", wire.bid),
        ask=_number("bad_price", wire.ask),
        bid_quantity=_number("bad_quantity", wire.bid_qty),
        ask_quantity=_number("bad_quantity", wire.ask_qty),
        volume_24h_base=_number("bad_quantity", wire.volume),
        change_24h_pct=number_text("bad_change", wire.change_pct),
    )


def _positive(reason: str, raw: msgspec.Raw) -> str:
    text = number_text(reason, raw)
    check_decimal(reason, text)
    return text


def _number(reason: str, raw: msgspec.Raw) -> str | None:
    return decimal_or_none(reason, number_text(reason, raw))


def _control(raw: bytes) -> Closing | Ignored | Alive:
    """A status, an answer to a subscription, or an event of v1."""
    message = any_json(raw)
    if message.get("channel") == "status" or message.get("event") == "systemStatus":
        return _status(message)
    if message.get("event") == "heartbeat":
        return Alive()
    if message.get("success") is False or message.get("status") == "error":
        text = message.get("error") or message.get("errorMessage") or "no reason given"
        raise RejectedInput("venue_error", str(text)[:200])
    if "method" in message or "event" in message:
        return Ignored(str(message.get("method", message.get("event")))[:40])
    raise RejectedInput("venue_error" if "error" in message else "missing_field", str(message.get("error", "channel")))


def _status(message: dict[str, Any]) -> Ignored:
    data = message.get("data")
    system = data[0].get("system") if isinstance(data, list) and data and isinstance(data[0], dict) else None
    return Ignored(f"status {system or message.get('status', '')}"[:40])


_TRADE_TYPES: dict[str, tuple[type, ...]] = {
    "symbol": (str,), "side": (str,), "price": (int, float), "qty": (int, float), "ord_type": (str,),
    "trade_id": (int,), "timestamp": (str,),
}  # fmt: skip
_TICKER_TYPES: dict[str, tuple[type, ...]] = {
    "symbol": (str,),
    **dict.fromkeys(("bid", "bid_qty", "ask", "ask_qty", "last", "volume", "change_pct"), (int, float)),
    "timestamp": (str, type(None)),
}


def _fault(raw: bytes) -> RejectedInput:
    """Why a frame of a channel of ours did not decode."""
    message = any_json(raw)
    if not isinstance(message, dict):
        return RejectedInput("wrong_type", f"expected an object, got {type(message).__name__}")
    if not isinstance(message.get("channel"), str):
        return RejectedInput("wrong_type", "channel")
    data = message.get("data")
    if not isinstance(data, list):
        return RejectedInput("missing_field" if data is None else "wrong_type", "data")
    is_trade = message["channel"] == "trade"
    for element in data:
        fault = _element_fault(element, _TRADE_TYPES if is_trade else _TICKER_TYPES)
        if fault:
            return fault
    return RejectedInput("missing_field" if "type" not in message else "wrong_type", "type")


def _element_fault(element: Any, types: dict[str, tuple[type, ...]]) -> RejectedInput | None:
    if not isinstance(element, dict):
        return RejectedInput("wrong_type", f"an element of data is {type(element).__name__}")
    trade_id = element.get("trade_id")
    if "trade_id" in types and type(trade_id) is int and not 0 <= trade_id <= MAX_INT64:
        return RejectedInput("bad_id", f"data.trade_id = {trade_id!s:.40}")
    absent = {name: None for name, allowed in types.items() if name not in element and type(None) in allowed}
    fault = data_fault({**absent, **element}, types)
    if fault.detail != "data":
        return fault
    if element.get("side", "buy") not in ("buy", "sell"):
        return RejectedInput("bad_side", f"{element['side']!s:.40}")
    return None


def spellings(markets: Mapping[str, str]) -> dict[str, str]:
    """Our symbols by every spelling of v1 and v2: BTC/USD and XBT/USD mean the same market."""
    known = dict(markets)
    for symbol in markets.values():
        for name in (symbol.replace("-", "/"), old_name(symbol)):
            known.setdefault(name, symbol)
    return known


def old_name(symbol: str) -> str:
    """The spelling of v1 and of `wsname`: XBT/USD."""
    aliases = {"BTC": "XBT", "DOGE": "XDG"}
    base, quote = Symbol(symbol).base, Symbol(symbol).quote
    return f"{aliases.get(base, base)}/{aliases.get(quote, quote)}"


def old_subscription(channel: str, symbols: Sequence[str]) -> bytes:
    """The message of v1 that subscribes to a channel of some markets."""
    pairs = sorted(map(old_name, symbols))
    return msgspec.json.encode({"event": "subscribe", "pair": pairs, "subscription": {"name": channel}})


def subscription(channel: str, names: Sequence[str], request: int) -> bytes:
    """The message that subscribes to a channel of some markets."""
    message = {"method": "subscribe", "params": {"channel": channel, "symbol": sorted(names)}, "req_id": request}
    return msgspec.json.encode(message)


class Kraken:
    """Kraken's channels of some markets; a `Venue`.

    Args:
        ws_url: of WebSocket v2 if it ends so (wss://ws.kraken.com/v2), else of v1.
        markets: our symbols by the venue's spelling, BTC/USD.
        channels: trade, and ticker if quotes are wanted.
    """

    name = VENUE
    beats = True

    def __init__(self, ws_url: str, markets: dict[str, str], channels: Sequence[str] = CHANNELS) -> None:
        self.url = ws_url
        self.sends_snapshots = ws_url.rstrip("/").endswith("/v2")
        self.place = "ws v2" if self.sends_snapshots else "ws v1"
        self.markets = markets
        self._channels = tuple(channels)
        self._known = spellings(markets)

    def greetings(self) -> Sequence[bytes]:
        """A subscription a channel."""
        if not self.sends_snapshots:
            return [old_subscription(channel, list(self.markets.values())) for channel in self._channels]
        names = list(self.markets)
        return [subscription(channel, names, number) for number, channel in enumerate(self._channels, 1)]

    def parse(self, payload: bytes, received_at: int) -> Sequence[Parsed]:
        """The events of a frame; raises as `parse_frame` does."""
        return parse_frame(payload, received_at, self._known)
