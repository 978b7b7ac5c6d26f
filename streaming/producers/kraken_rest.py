"""Kraken's REST: parsing of Trades and AssetPairs, and the client. Errors come with HTTP 200 and are errors here.

Trades are asked for by time (`since`, in ns) and carry their number as the seventh field, so an id is reached by
walking from the time of a trade that is known. Older answers have six fields: such trades get a negative id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import httpx
import msgspec

from crypto_intel.contracts.events import Trade
from crypto_intel.contracts.symbols import Symbol
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.http import RequestRefused, VenueHttp
from streaming.producers.kraken import VENUE, old_name
from streaming.producers.kraken_v1 import digests, seconds_us, side_of
from streaming.producers.limits import RateLimit
from streaming.producers.venue import Mark
from streaming.producers.wire import UNREADABLE, any_json, check_decimal, check_time, number_text

MAX_PAGE = 1_000  # trades a request gives
_MARGIN = 16  # trades at the very time of the last known one come again
_WITHOUT_NUMBER, _WITH_NUMBER = 6, 7
_BUSY = ("rate limit", "too many requests", "eservice", "egeneral:temporary", "busy", "internal error")


class _Envelope(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class Page(NamedTuple):
    """An answer of Trades: in its order, and the cursor of the next one in ns."""

    trades: list[Trade]
    last_ns: int


class WirePair(msgspec.Struct, frozen=True):
    """An element of AssetPairs, as far as we need it."""

    altname: str  # XBTUSD
    wsname: str = ""  # XBT/USD
    status: str = "online"


_envelope = msgspec.json.Decoder(_Envelope)
_rows = msgspec.json.Decoder(list[list[msgspec.Raw]])
_pair = msgspec.json.Decoder(WirePair)


def result_of(body: bytes) -> dict[str, msgspec.Raw]:
    """What an answer holds, if it is no error.

    Raises:
        RetryableError: the venue says that it is busy or limits us.
        RequestRefused: it refuses.
        RejectedInput: malformed_json.
    """
    try:
        answer = _envelope.decode(body)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    if not answer.error:
        return answer.result
    text = ", ".join(answer.error)[:200]
    if any(word in text.lower() for word in _BUSY):
        raise RetryableError(f"Kraken: {text}")
    raise RequestRefused(httpx.codes.OK, body[:4096])


def parse_trades(body: bytes, symbol: str, received_at: int) -> Page:
    """Trades of a Trades body, in its order, with origin "rest".

    Raises:
        RejectedInput: reasons as of `kraken.parse_frame`; one bad trade spoils the body. Else as `result_of`.
    """
    result = dict(result_of(body))
    last = any_json(result.pop("last", msgspec.Raw(b'"0"')))
    if len(result) > 1 or not str(last).isdigit():
        raise RejectedInput("malformed_json", "expected one market and a cursor")
    try:
        rows = _rows.decode(next(iter(result.values()), msgspec.Raw(b"[]")))
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    wires = [_fields(row) for row in rows]
    ids = [wire[_WITHOUT_NUMBER] if len(wire) == _WITH_NUMBER else None for wire in wires]
    own = digests([[wire[0], wire[1], wire[2], wire[3]] for wire in wires]) if None in ids else []
    numbers = [own[at] if trade_id is None else trade_id for at, trade_id in enumerate(ids)]
    return Page([_trade(*pair, symbol, received_at) for pair in zip(wires, numbers, strict=True)], int(last))


def _fields(row: list[msgspec.Raw]) -> list[Any]:
    if len(row) not in (_WITHOUT_NUMBER, _WITH_NUMBER):
        raise RejectedInput("wrong_type", f"a trade of {len(row)} fields")
    # The time is a JSON number: its text is exact, a float of it is not always.
    fields = [number_text("bad_time", cell) if at == 2 else any_json(cell) for at, cell in enumerate(row)]
    if not all(isinstance(field, str) for field in fields[:4]):
        raise RejectedInput("wrong_type", "price, volume or side of a trade")
    if len(fields) == _WITH_NUMBER and (type(fields[6]) is not int or not 0 <= fields[6] < 2**63):
        raise RejectedInput("bad_id", f"{fields[6]!s:.40}")
    return fields


def _trade(wire: list[Any], trade_id: int, symbol: str, received_at: int) -> Trade:
    check_decimal("bad_price", wire[0])
    check_decimal("bad_quantity", wire[1])
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=trade_id,
        price=wire[0],
        quantity=wire[1],
        taker_side=side_of(wire[3]),
        event_time=check_time(seconds_us(wire[2]), received_at),
        received_at=received_at,
        origin="rest",
    )


def parse_pairs(body: bytes, wanted: Collection[str]) -> dict[str, WirePair]:
    """Wanted symbols that trade at the venue, with their pair; raises as `result_of` does."""
    found = {}
    for raw in result_of(body).values():
        try:
            pair = _pair.decode(raw)
            symbol = Symbol(pair.wsname)
        except (*UNREADABLE, ValueError):
            continue  # dark pools and derivatives have no such name
        if symbol in wanted and pair.status == "online":
            found[str(symbol)] = pair
    return found


class KrakenRest:
    """Kraken's REST API; a `VenueRest`.

    Args:
        http: with the venue's address.
        budget: of requests; Kraken counts them by address.
    """

    seeks_by_id = False

    def __init__(self, http: VenueHttp, budget: RateLimit) -> None:
        self._http = http
        self._budget = budget
        self._pairs: Mapping[str, WirePair] = {}

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client underneath."""
        return self._http.client

    async def offered(self, wanted: Collection[str]) -> dict[str, str]:
        """Wanted symbols that trade at the venue, by its spelling.

        Raises:
            RetryableError: the venue is away or talks nonsense.
        """
        try:
            self._pairs = await self._ask_pairs(wanted)
        except (RejectedInput, RequestRefused) as error:
            raise RetryableError(f"AssetPairs: {error}") from error
        return {symbol.replace("-", "/"): symbol for symbol in self._pairs}

    async def _ask_pairs(self, wanted: Collection[str]) -> dict[str, WirePair]:
        # The full list has 700 kB; naming pairs gives a few kB but is refused when one of them is not offered.
        path, names = "/0/public/AssetPairs", ",".join(_altname(symbol) for symbol in sorted(wanted))
        try:
            return parse_pairs(await self._get(path, {"pair": names}), wanted)
        except RequestRefused:
            return parse_pairs(await self._get(path), wanted)

    async def latest(self, name: str, symbol: str, received_at: int) -> Mark | None:
        """The market's last trade; raises as `behind` does."""
        found = (await self._trades(symbol, received_at, None, 1)).trades
        return Mark(found[-1].trade_id, found[-1].event_time) if found else None

    async def behind(self, name: str, symbol: str, received_at: int, after: Mark, limit: int) -> list[Trade]:
        """Up to `limit` trades with ids greater than that of `after`, in order of id, found from its time on.

        Raises:
            RetryableError: the venue is away or busy.
            RequestRefused: it refuses.
            RejectedInput: its answer cannot be read.
        """
        count = min(limit + _MARGIN, MAX_PAGE)
        since_ns = max(after.event_time * 1000 - 1, 0)  # `since` is exclusive; others may have the very same time
        while True:
            page = await self._trades(symbol, received_at, since_ns, count)
            found = sorted((t for t in page.trades if t.trade_id > after.trade_id), key=lambda trade: trade.trade_id)
            if found or len(page.trades) < count or page.last_ns <= since_ns:
                return found[:limit]
            since_ns = page.last_ns

    async def history(
        self, name: str, symbol: str, received_at: int, *, until: int, since_us: int, limit: int
    ) -> list[Trade]:
        """Trades from `since_us` on with ids up to `until`, in order of id; the oldest of them if too many."""
        found: list[Trade] = []
        after = Mark(-1, since_us)
        while len(found) < limit:
            page = [t for t in await self.behind(name, symbol, received_at, after, MAX_PAGE) if t.trade_id <= until]
            if not page:
                break
            found += page
            after = Mark(page[-1].trade_id, page[-1].event_time)
        return found

    async def _trades(self, symbol: str, received_at: int, since_ns: int | None, count: int) -> Page:
        pair = self._pairs.get(symbol)
        params: dict[str, str | int] = {"pair": pair.altname if pair else _altname(symbol), "count": count}
        if since_ns is not None:
            params["since"] = since_ns
        return parse_trades(await self._get("/0/public/Trades", params), symbol, received_at)

    async def _get(self, path: str, params: Mapping[str, str | int] | None = None) -> bytes:
        await self._budget.take()
        return await self._http.get(path, params)


def _altname(symbol: str) -> str:
    return old_name(symbol).replace("/", "")
