"""Takes requests for faults, by page or by schedule, to those who make them happen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from streaming.errors import FatalError, RejectedInput
from streaming.simulator.desk import Desk
from streaming.simulator.faults import Faults, Injection, markets_of
from streaming.simulator.gate import Gate
from streaming.simulator.hub import Hub
from streaming.simulator.news import NewsWire
from streaming.simulator.rest_faults import RestFaults
from streaming.simulator.venue import VenueSymbol

log = structlog.get_logger(__name__)

WEBSOCKET_VENUES = ("binance", "kraken")


def read_schedule(entries: Sequence[dict[str, Any]]) -> list[Injection]:
    """Requests of a setting, in order of their times.

    Raises:
        FatalError: an entry is no request; says which and why.
    """
    requests = []
    for number, entry in enumerate(entries):
        try:
            requests.append(msgspec.convert(entry, Injection))
        except msgspec.ValidationError as error:
            raise FatalError(f"fault {number} of the schedule: {error}") from error
    return sorted(requests, key=lambda request: request.at_s)


class Chaos:
    """All faults.

    Args:
        symbols: markets on offer.
        faults: of frames.
        rest: of REST pages.
        hub: for cuts.
        gate: for stalled handshakes.
        wire: for bursts of news.
        desk: says what time it is, and keeps the ledger.
    """

    def __init__(  # noqa: PLR0917
        self,
        symbols: Sequence[VenueSymbol],
        faults: Faults,
        rest: RestFaults,
        hub: Hub,
        gate: Gate,
        wire: NewsWire,
        desk: Desk,
    ) -> None:
        self._symbols = symbols
        self._faults = faults
        self._rest = rest
        self._hub = hub
        self._gate = gate
        self._wire = wire
        self._desk = desk
        self._stalls: set[asyncio.Task[None]] = set()

    def inject(self, request: Injection) -> None:
        """Make it happen, now or with the frames and requests that come next.

        Raises:
            RejectedInput: no such venue or market; says which there are.
        """
        if request.kind in {"rest_error", "rest_slow", "rest_empty"}:
            self._rest.request(request)
            return
        if request.kind == "news_burst":
            self._burst(request)
            return
        if request.venue not in (None, *WEBSOCKET_VENUES):
            raise RejectedInput("unknown_venue", f"{request.venue!r}; allowed: {', '.join(WEBSOCKET_VENUES)}")
        markets_of(request, self._symbols)
        if request.kind == "cut":
            self._cut(request)
        else:
            self._faults.request(request)

    def _burst(self, request: Injection) -> None:
        if request.symbol is None:
            raise RejectedInput("no_symbol", "a burst of news is about an asset: name it as symbol")
        asset = self._wire.burst(request.symbol, request.count, self._desk.now_us())
        self._desk.ledger.injected(request.kind, asset)

    def _cut(self, request: Injection) -> None:
        if request.how == "handshake":
            # First deaf, then cut: a client that is back at once must find the port as asked for.
            stall = asyncio.create_task(self._gate.stall(request.seconds))
            self._stalls.add(stall)
            stall.add_done_callback(self._stalls.discard)
            asyncio.get_running_loop().call_soon(self._cut_when_deaf, request, stall)
        else:
            self._hub.end(request)

    def _cut_when_deaf(self, request: Injection, stall: asyncio.Task[None]) -> None:
        if self._gate.is_deaf or stall.done():
            self._hub.end(request)
        else:
            asyncio.get_running_loop().call_later(0.001, self._cut_when_deaf, request, stall)

    async def run(self, schedule: Sequence[Injection]) -> None:
        """Make the schedule happen; seconds count from this call."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for request in schedule:
            await asyncio.sleep(start + request.at_s - loop.time())
            self.inject(request)
            log.info("fault", **{key: value for key, value in msgspec.structs.asdict(request).items() if value})

    async def stop(self) -> None:
        """End what still stalls."""
        for stall in list(self._stalls):
            stall.cancel()
        await asyncio.gather(*self._stalls, return_exceptions=True)
