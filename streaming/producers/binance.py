"""Binance spot streams: wire structs and parsing. Pure; REST is in binance_rest.py, what becomes of events in feed.py.

Formats: combined-stream frames `{"stream": "btcusdt@trade", "data": {...}}` of the streams trade, bookTicker and
ticker (24 h), times in milliseconds or, where asked for, microseconds. Frames of other streams are counted, never
rejected. A spot bookTicker has no time of its own: its time is that of its receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

import msgspec

from crypto_intel.contracts.events import Quote, Trade
from streaming.errors import RejectedInput
from streaming.producers.venue import Closing, Ignored, Parsed
from streaming.producers.wire import (
    MAX_INT64,
    UNREADABLE,
    Int64,
    any_json,
    check_decimal,
    check_text,
    data_fault,
    decimal_or_none,
    event_time_us,
    known_symbol,
    refuse_repeated_keys,
)

VENUE = "binance"
STREAMS = ("trade", "bookTicker", "ticker")
_ENVELOPE_KEYS = 2
_EXACT = Context(prec=60)  # twice what a price may have


class WireFrame(msgspec.Struct, frozen=True):
    """A frame of a combined stream."""

    stream: str
    data: msgspec.Raw


class WireTrade(msgspec.Struct, frozen=True):
    """`data` of a trade frame; the venue's names."""

    e: str  # "trade"
    s: str  # symbol, BTCUSDT
    t: Int64  # trade id
    p: str  # price
    q: str  # quantity
    T: Int64  # trade time, ms or µs
    m: bool  # the buyer was the maker, so the taker sold
    E: int | msgspec.UnsetType = msgspec.UNSET  # event time; not used
    M: bool | msgspec.UnsetType = msgspec.UNSET  # not used


class WireBookTicker(msgspec.Struct, frozen=True):
    """`data` of a bookTicker frame: best bid and ask with their quantities."""

    u: Int64  # update id of the order book
    s: str
    b: str
    B: str
    a: str
    A: str


class WireTicker(msgspec.Struct, frozen=True):
    """`data` of a ticker frame, as far as we need it: the last 24 hours."""

    s: str
    E: Int64  # ms or µs
    c: str  # last price
    P: str  # change in percent, with a sign
    b: str
    B: str
    a: str
    A: str
    v: str  # volume in base
    q: str  # volume in quote


_frame = msgspec.json.Decoder(WireFrame)
_trade = msgspec.json.Decoder(WireTrade)
_book_ticker = msgspec.json.Decoder(WireBookTicker)
_ticker = msgspec.json.Decoder(WireTicker)


def parse_frame(raw: bytes, received_at: int, known_symbols: Mapping[str, str]) -> Trade | Quote | Closing | Ignored:
    """The event of a combined-stream frame.

    Args:
        raw: the message.
        received_at: platform time in microseconds.
        known_symbols: our symbols by the venue's spelling.

    Raises:
        RejectedInput: with one of the reasons too_large, not_utf8, malformed_json, wrong_type, missing_field,
            repeated_key, venue_error, unknown_symbol, bad_price, bad_quantity, bad_change, bad_id, bad_time,
            future_time.
    """
    check_text(raw)
    try:
        frame = _frame.decode(raw)
    except UNREADABLE:
        return _control(raw)
    parse = _PARSERS.get(frame.stream.rpartition("@")[2])
    if parse is None:
        return Ignored(frame.stream)
    try:
        return parse(raw, frame.data, received_at, known_symbols)
    except UNREADABLE as error:
        raise _fault(raw, frame.stream) from error


def _parse_trade(raw: bytes, data: msgspec.Raw, received_at: int, known_symbols: Mapping[str, str]) -> Trade | Ignored:
    wire = _trade.decode(data)
    is_whole = wire.E is not msgspec.UNSET and wire.M is not msgspec.UNSET
    refuse_repeated_keys(raw, _ENVELOPE_KEYS + len(WireTrade.__struct_fields__) if is_whole else -1)
    if wire.e != "trade":
        return Ignored(wire.e)
    check_decimal("bad_price", wire.p)
    check_decimal("bad_quantity", wire.q)
    return Trade(
        venue=VENUE,
        symbol=known_symbol(wire.s, known_symbols),
        trade_id=wire.t,
        price=wire.p,
        quantity=wire.q,
        taker_side="sell" if wire.m else "buy",
        event_time=event_time_us(wire.T, received_at),
        received_at=received_at,
    )


def _parse_book_ticker(raw: bytes, data: msgspec.Raw, received_at: int, known_symbols: Mapping[str, str]) -> Quote:
    wire = _book_ticker.decode(data)
    refuse_repeated_keys(raw, _ENVELOPE_KEYS + len(WireBookTicker.__struct_fields__))
    check_decimal("bad_price", wire.b)
    check_decimal("bad_price", wire.a)
    return Quote(
        venue=VENUE,
        symbol=known_symbol(wire.s, known_symbols),
        price=middle(wire.b, wire.a),
        event_time=received_at,
        received_at=received_at,
        bid=wire.b,
        ask=wire.a,
        bid_quantity=decimal_or_none("bad_quantity", wire.B),
        ask_quantity=decimal_or_none("bad_quantity", wire.A),
    )


def _parse_ticker(raw: bytes, data: msgspec.Raw, received_at: int, known_symbols: Mapping[str, str]) -> Quote:
    wire = _ticker.decode(data)
    refuse_repeated_keys(raw, -1)  # one a second and symbol: may be looked through
    check_decimal("bad_price", wire.c)
    decimal_or_none("bad_change", wire.P.removeprefix("-"))
    return Quote(
        venue=VENUE,
        symbol=known_symbol(wire.s, known_symbols),
        price=wire.c,
        event_time=event_time_us(wire.E, received_at),
        received_at=received_at,
        bid=decimal_or_none("bad_price", wire.b),
        ask=decimal_or_none("bad_price", wire.a),
        bid_quantity=decimal_or_none("bad_quantity", wire.B),
        ask_quantity=decimal_or_none("bad_quantity", wire.A),
        volume_24h=wire.q if decimal_or_none("bad_quantity", wire.q) else "0",
        volume_24h_base=wire.v if decimal_or_none("bad_quantity", wire.v) else "0",
        change_24h_pct=wire.P,
    )


_Parse = Callable[[bytes, msgspec.Raw, int, Mapping[str, str]], Trade | Quote | Ignored]
_PARSERS: dict[str, _Parse] = {"trade": _parse_trade, "bookTicker": _parse_book_ticker, "ticker": _parse_ticker}
_FIELD_TYPES: dict[str, dict[str, tuple[type, ...]]] = {
    "trade": {"e": (str,), "s": (str,), "t": (int,), "p": (str,), "q": (str,), "T": (int,), "m": (bool,)},
    "bookTicker": {"u": (int,), "s": (str,), "b": (str,), "B": (str,), "a": (str,), "A": (str,)},
    "ticker": {"s": (str,), "E": (int,), **dict.fromkeys("cPbBaAvq", (str,))},
}
_BOUNDED = {"t": "bad_id", "u": "bad_id", "T": "bad_time", "E": "bad_time"}


def middle(bid: str, ask: str) -> str:
    """The exact middle of bid and ask; if that has too many digits for the lake, the bid."""
    price = format(_EXACT.divide(_EXACT.add(Decimal(bid), Decimal(ask)), Decimal(2)), "f")
    try:
        check_decimal("bad_price", price)
    except RejectedInput:
        return bid
    return price


def _control(raw: bytes) -> Closing | Ignored:
    """A message that is no frame of a stream: an answer, an announcement, or what is wrong with it."""
    message = any_json(raw)
    if not isinstance(message, dict):
        raise RejectedInput("wrong_type", f"expected an object, got {type(message).__name__}")
    event = message.get("event", message)
    if isinstance(event, dict) and event.get("e") == "serverShutdown":
        return Closing("server shutdown announced")
    if "stream" in message:
        is_text = isinstance(message["stream"], str)
        raise RejectedInput("missing_field" if is_text else "wrong_type", "data" if is_text else "stream")
    if "error" in message:
        raise RejectedInput("venue_error", str(message["error"])[:200])
    if "result" in message:
        return Ignored("control")
    raise RejectedInput("missing_field", "stream")


def _fault(raw: bytes, stream: str) -> RejectedInput:
    """Why the data of a stream of ours did not decode."""
    data = any_json(raw)["data"]
    if not isinstance(data, dict):
        return RejectedInput("missing_field" if data is None else "wrong_type", "data")
    types = _FIELD_TYPES[stream.rpartition("@")[2]]
    for name, reason in _BOUNDED.items():
        value = data.get(name)
        if name in types and type(value) is int and not 0 <= value <= MAX_INT64:
            return RejectedInput(reason, f"data.{name} = {value!s:.40}")
    return data_fault(data, types)


def stream_url(base: str, names: Collection[str], streams: Collection[str] = ("trade",)) -> str:
    """Address of the combined streams of some symbols; `base` may end in /stream already."""
    wanted = "/".join(f"{name.lower()}@{stream}" for stream in streams for name in sorted(names))
    return f"{base.rstrip('/').removesuffix('/stream')}/stream?streams={wanted}"


@dataclass(frozen=True)
class Binance:
    """Binance's streams of some markets; a `Venue`.

    Args:
        ws_url: base address.
        markets: our symbols by the venue's spelling.
        streams: of `STREAMS`.
    """

    ws_url: str
    markets: dict[str, str]
    streams: tuple[str, ...] = STREAMS
    name: str = VENUE
    place: str = "ws combined stream"
    beats: bool = False
    sends_snapshots: bool = False

    @property
    def url(self) -> str:
        """Address of the combined streams."""
        return stream_url(self.ws_url, self.markets, self.streams)

    def greetings(self) -> Sequence[bytes]:
        """None: the address says what is wanted."""
        return ()

    def parse(self, payload: bytes, received_at: int) -> Sequence[Parsed]:
        """The event of a frame; raises as `parse_frame` does."""
        return (parse_frame(payload, received_at, self.markets),)
