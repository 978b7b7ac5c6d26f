"""Binance spot: wire structs, parsing and REST. Pure but for `BinanceRest`; the feed is in binance_feed.py.

Formats: combined-stream frames `{"stream": "btcusdt@trade", "data": {...}}`, times in milliseconds or, where asked
for, microseconds; REST `exchangeInfo` and `historicalTrades`. Frames of other streams are counted, never rejected.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import msgspec

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S, Trade
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.http import RequestRefused, VenueHttp

VENUE = "binance"
TRADE_STREAM = "@trade"
MAX_FRAME_BYTES = 1_048_576  # a trade frame has 170
MAX_PAGE = 1_000  # trades a REST request gives

_EARLIEST_US = 1_230_768_000_000_000  # 2009: an earlier time means another unit
_MICROSECONDS_FROM = 100_000_000_000_000  # as milliseconds this is the year 5138, so it is microseconds
_MAX_INT64 = 2**63 - 1
# DECIMAL(38,18) of the lake; no exponent, no sign: the venue never sends one, and a NaN does not fit.
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,18})?", re.ASCII)
_ZERO = re.compile(r"[0.]+", re.ASCII)

Int64 = Annotated[int, msgspec.Meta(ge=0, le=_MAX_INT64)]


class WireTrade(msgspec.Struct, frozen=True):
    """`data` of a trade frame; the venue's names."""

    e: str  # "trade"
    s: str  # symbol, BTCUSDT
    t: Int64  # trade id
    p: str  # price
    q: str  # quantity
    T: Int64  # trade time, ms or µs
    m: bool  # the buyer was the maker, so the taker sold


class WireFrame(msgspec.Struct, frozen=True):
    """A frame of a combined stream."""

    stream: str
    data: WireTrade


class WireRestTrade(msgspec.Struct, frozen=True, rename="camel"):
    """An element of `historicalTrades`."""

    id: Int64
    price: str
    qty: str
    time: Int64
    is_buyer_maker: bool


class WireSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """An element of `exchangeInfo`'s symbols, as far as we need it."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class WireExchangeInfo(msgspec.Struct, frozen=True):
    """`exchangeInfo`, as far as we need it."""

    symbols: list[WireSymbol]


@dataclass(frozen=True)
class Ignored:
    """A frame that is not for us: of another stream, or an answer to a subscription."""

    stream: str


_frame = msgspec.json.Decoder(WireFrame)
_rest_trades = msgspec.json.Decoder(list[WireRestTrade])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_frame(raw: bytes, received_at: int, known_symbols: Mapping[str, str]) -> Trade | Ignored:
    """The trade of a combined-stream frame.

    Args:
        raw: the message.
        received_at: platform time in microseconds.
        known_symbols: our symbols by the venue's spelling.

    Raises:
        RejectedInput: with one of the reasons too_large, not_utf8, malformed_json, wrong_type, missing_field,
            venue_error, unknown_symbol, bad_price, bad_quantity, bad_id, bad_time, future_time.
    """
    if len(raw) > MAX_FRAME_BYTES:
        raise RejectedInput("too_large", f"{len(raw)} bytes")
    if not raw.isascii():
        _require_utf8(raw)
    try:
        frame = _frame.decode(raw)
    except _UNREADABLE:
        return _explain(raw)
    if frame.data.e != "trade" or not frame.stream.endswith(TRADE_STREAM):
        return Ignored(frame.stream)
    wire = frame.data
    symbol = known_symbols.get(wire.s)
    if symbol is None:
        raise RejectedInput("unknown_symbol", wire.s[:40])
    _check_decimal("bad_price", wire.p)
    _check_decimal("bad_quantity", wire.q)
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=wire.t,
        price=wire.p,
        quantity=wire.q,
        taker_side="sell" if wire.m else "buy",
        event_time=_event_time(wire.T, received_at),
        received_at=received_at,
    )


def _require_utf8(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise RejectedInput("not_utf8", f"byte {error.start}") from error


def _check_decimal(reason: str, text: str) -> None:
    if not _DECIMAL.fullmatch(text) or _ZERO.fullmatch(text):
        raise RejectedInput(reason, f"{text[:60]!r} is not a positive decimal")


def _event_time(wire_time: int, received_at: int) -> int:
    """Microseconds of a time in ms or µs, checked against the time of receipt."""
    time_us = wire_time if wire_time >= _MICROSECONDS_FROM else wire_time * 1000
    if time_us < _EARLIEST_US:
        raise RejectedInput("bad_time", f"{wire_time} is no time in ms or µs")
    if time_us > received_at + FUTURE_TOLERANCE_S * 1_000_000:
        raise RejectedInput("future_time", f"{(time_us - received_at) / 1e6:.1f} s after its receipt")
    return time_us


_FIELD_TYPES: dict[str, type] = {"e": str, "s": str, "t": int, "p": str, "q": str, "T": int, "m": bool}


def _explain(raw: bytes) -> Ignored:
    """Why a frame is no trade frame: another stream's, or what is wrong with it."""
    try:
        message = msgspec.json.decode(raw)
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    if not isinstance(message, dict):
        raise RejectedInput("wrong_type", f"expected an object, got {type(message).__name__}")
    stream = message.get("stream")
    if stream is None:
        return _explain_control(message)
    if not isinstance(stream, str):
        raise RejectedInput("wrong_type", f"stream is {type(stream).__name__}")
    if not stream.endswith(TRADE_STREAM):
        return Ignored(stream)
    data = message.get("data")
    if not isinstance(data, dict):
        raise RejectedInput("missing_field" if data is None else "wrong_type", "data")
    raise _data_fault(data)


def _explain_control(message: dict[str, Any]) -> Ignored:
    if "error" in message:
        raise RejectedInput("venue_error", str(message["error"])[:200])
    if "result" in message:
        return Ignored("control")
    raise RejectedInput("missing_field", "stream")


def _data_fault(data: dict[str, Any]) -> RejectedInput:
    for name, expected in _FIELD_TYPES.items():
        if name not in data:
            return RejectedInput("missing_field", f"data.{name}")
        if type(data[name]) is not expected:  # bool is an int to isinstance
            return RejectedInput("wrong_type", f"data.{name} is {type(data[name]).__name__}")
    for name, reason in (("t", "bad_id"), ("T", "bad_time")):
        if not 0 <= data[name] <= _MAX_INT64:
            return RejectedInput(reason, f"data.{name} = {data[name]!s:.40}")
    return RejectedInput("wrong_type", "data")


def parse_rest_trades(body: bytes, symbol: str, received_at: int) -> list[Trade]:
    """Trades of a `historicalTrades` body, in its order, with origin "rest".

    Raises:
        RejectedInput: reasons as of `parse_frame`; one bad trade spoils the body, since ids must not be skipped.
    """
    try:
        wires = _rest_trades.decode(body)
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    return [_rest_trade(wire, symbol, received_at) for wire in wires]


def _rest_trade(wire: WireRestTrade, symbol: str, received_at: int) -> Trade:
    _check_decimal("bad_price", wire.price)
    _check_decimal("bad_quantity", wire.qty)
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=wire.id,
        price=wire.price,
        quantity=wire.qty,
        taker_side="sell" if wire.is_buyer_maker else "buy",
        event_time=_event_time(wire.time, received_at),
        received_at=received_at,
        origin="rest",
    )


def parse_exchange_info(body: bytes, wanted: Collection[str]) -> dict[str, str]:
    """Wanted symbols that trade at the venue, by its spelling.

    Raises:
        RejectedInput: the body is not `exchangeInfo`.
    """
    try:
        info = msgspec.json.decode(body, type=WireExchangeInfo)
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    trading = (wire for wire in info.symbols if wire.status == "TRADING")
    offered = ((wire.symbol, f"{wire.base_asset}-{wire.quote_asset}") for wire in trading)
    return {name: symbol for name, symbol in offered if symbol in wanted}


def stream_url(base: str, names: Collection[str]) -> str:
    """Address of the combined trade stream of some symbols; `base` may end in /stream already."""
    streams = "/".join(f"{name.lower()}{TRADE_STREAM}" for name in sorted(names))
    return f"{base.rstrip('/').removesuffix('/stream')}/stream?streams={streams}"


class BinanceRest:
    """Binance's REST API.

    Args:
        http: with the venue's address.
    """

    def __init__(self, http: VenueHttp) -> None:
        self._http = http

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client underneath."""
        return self._http.client

    async def offered(self, wanted: Collection[str]) -> dict[str, str]:
        """Wanted symbols that trade at the venue, by its spelling.

        Raises:
            RetryableError: the venue is away or talks nonsense.
        """
        names = sorted(symbol.replace("-", "") for symbol in wanted)
        try:
            body = await self._ask_symbols(msgspec.json.encode(names).decode())
            return parse_exchange_info(body, wanted)
        except (RejectedInput, RequestRefused) as error:
            raise RetryableError(f"exchangeInfo: {error}") from error

    async def _ask_symbols(self, names: str) -> bytes:
        # The full list has 13 MB; naming symbols gives a few kB but is refused when one of them is not offered.
        path = "/api/v3/exchangeInfo"
        try:
            return await self._http.get(path, {"symbols": names})
        except RequestRefused:
            return await self._http.get(path)

    async def trades(
        self, name: str, symbol: str, received_at: int, *, from_id: int | None = None, limit: int = MAX_PAGE
    ) -> list[Trade]:
        """Up to `limit` trades from `from_id` on, or the latest ones, in order of id.

        Raises:
            RetryableError: the venue is away or busy.
            RequestRefused: it refuses.
            RejectedInput: its answer cannot be read.
        """
        params: dict[str, str | int] = {"symbol": name, "limit": limit}
        if from_id is not None:
            params["fromId"] = from_id
        return parse_rest_trades(await self._http.get("/api/v3/historicalTrades", params), symbol, received_at)
