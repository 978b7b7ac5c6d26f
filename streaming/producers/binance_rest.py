"""Binance spot REST: parsing of exchangeInfo, historicalTrades and aggTrades, and the client; klines: klines.py."""

from __future__ import annotations

from collections.abc import Collection

import httpx
import msgspec

from crypto_intel.contracts.events import Trade
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.binance import VENUE
from streaming.producers.http import RequestRefused, VenueHttp
from streaming.producers.venue import Mark
from streaming.producers.wire import UNREADABLE, Int64, check_decimal, event_time_us

MAX_PAGE = 1_000  # trades a request gives


class WireRestTrade(msgspec.Struct, frozen=True, rename="camel"):
    """An element of `historicalTrades`."""

    id: Int64
    price: str
    qty: str
    time: Int64
    is_buyer_maker: bool


class AggTrade(msgspec.Struct, frozen=True, rename={"price": "p", "quantity": "q", "first_id": "f", "last_id": "l"}):
    """An element of `aggTrades`: trades of one taker order at one price, `first_id` to `last_id`.

    Of single trades it says too little to repair them, but how many ids there were and what they sum to.
    """

    a: Int64
    price: str
    quantity: str
    first_id: Int64
    last_id: Int64
    T: Int64
    m: bool


class WireSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """An element of `exchangeInfo`'s symbols, as far as we need it."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class WireExchangeInfo(msgspec.Struct, frozen=True):
    """`exchangeInfo`, as far as we need it."""

    symbols: list[WireSymbol]


_rest_trades = msgspec.json.Decoder(list[WireRestTrade])
_agg_trades = msgspec.json.Decoder(list[AggTrade])


def parse_rest_trades(body: bytes, symbol: str, received_at: int) -> list[Trade]:
    """Trades of a `historicalTrades` body, in its order, with origin "rest".

    Raises:
        RejectedInput: reasons as of `parse_frame`; one bad trade spoils the body, since ids must not be skipped.
    """
    try:
        wires = _rest_trades.decode(body)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    return [_rest_trade(wire, symbol, received_at) for wire in wires]


def _rest_trade(wire: WireRestTrade, symbol: str, received_at: int) -> Trade:
    check_decimal("bad_price", wire.price)
    check_decimal("bad_quantity", wire.qty)
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=wire.id,
        price=wire.price,
        quantity=wire.qty,
        taker_side="sell" if wire.is_buyer_maker else "buy",
        event_time=event_time_us(wire.time, received_at),
        received_at=received_at,
        origin="rest",
    )


def parse_agg_trades(body: bytes) -> list[AggTrade]:
    """Elements of an `aggTrades` body.

    Raises:
        RejectedInput: malformed_json, bad_price, bad_quantity, bad_id.
    """
    try:
        found = _agg_trades.decode(body)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    for trade in found:
        check_decimal("bad_price", trade.price)
        check_decimal("bad_quantity", trade.quantity)
        if trade.last_id < trade.first_id:
            raise RejectedInput("bad_id", f"{trade.first_id} to {trade.last_id}")
    return found


def parse_exchange_info(body: bytes, wanted: Collection[str]) -> dict[str, str]:
    """Wanted symbols that trade at the venue, by its spelling.

    Raises:
        RejectedInput: the body is not `exchangeInfo`.
    """
    try:
        info = msgspec.json.decode(body, type=WireExchangeInfo)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    trading = (wire for wire in info.symbols if wire.status == "TRADING")
    offered = ((wire.symbol, f"{wire.base_asset}-{wire.quote_asset}") for wire in trading)
    return {name: symbol for name, symbol in offered if symbol in wanted}


class BinanceRest:
    """Binance's REST API; a `VenueRest`.

    Args:
        http: with the venue's address.
    """

    seeks_by_id = True

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

    async def latest(self, name: str, symbol: str, received_at: int) -> Mark | None:
        """The market's last trade; raises as `behind` does."""
        found = await self._trades(name, symbol, received_at, None, 1)
        return Mark(found[-1].trade_id, found[-1].event_time) if found else None

    async def behind(self, name: str, symbol: str, received_at: int, after: Mark, limit: int) -> list[Trade]:
        """Up to `limit` trades from the id after `after` on, in order of id.

        Raises:
            RetryableError: the venue is away or busy.
            RequestRefused: it refuses.
            RejectedInput: its answer cannot be read.
        """
        return await self._trades(name, symbol, received_at, after.trade_id + 1, min(limit, MAX_PAGE))

    async def history(
        self, name: str, symbol: str, received_at: int, *, until: int, since_us: int, limit: int
    ) -> list[Trade]:
        """Trades with ids up to `until`, page by page back to `since_us`; older ones of the last page too."""
        found: list[Trade] = []
        while until >= 0 and len(found) < limit:
            page = await self._trades(name, symbol, received_at, max(until - MAX_PAGE + 1, 0), MAX_PAGE)
            page = [trade for trade in page if trade.trade_id <= until]
            found[:0] = page  # what the venue handed out is kept
            if not page or page[0].event_time < since_us:
                break
            until = page[0].trade_id - 1
        return found

    async def _trades(self, name: str, symbol: str, received_at: int, from_id: int | None, limit: int) -> list[Trade]:
        params: dict[str, str | int] = {"symbol": name, "limit": limit}
        if from_id is not None:
            params["fromId"] = from_id
        body = await self._http.get("/api/v3/historicalTrades", params)
        return sorted(parse_rest_trades(body, symbol, received_at), key=lambda trade: trade.trade_id)
