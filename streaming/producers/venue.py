"""What a venue must offer so that feed.py and repair.py lose nothing of it. Shapes only; no venue is named here.

A venue is a pure parse of its frames into the events below, the address and the messages that subscribe, and REST
that gives trades behind a known one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import httpx

from crypto_intel.contracts.events import Quote, Trade


class Mark(NamedTuple):
    """A place in a market: a trade's id and its event time in µs (0: unknown)."""

    trade_id: int
    event_time: int = 0


@dataclass(frozen=True)
class Ignored:
    """A frame that is not for us: of another stream, or an answer to a subscription."""

    stream: str


@dataclass(frozen=True)
class Snapshot:
    """A market's latest trades, sent again with every subscription; in order of id."""

    trades: tuple[Trade, ...]


@dataclass(frozen=True)
class Alive:
    """The venue says that the connection lives: all before it has arrived."""


@dataclass(frozen=True)
class Closing:
    """The venue announces that it will close this connection soon."""

    detail: str


Parsed = Trade | Quote | Snapshot | Alive | Closing | Ignored


class VenueRest(Protocol):
    """Trades by REST. All raise RetryableError (away or busy), RequestRefused, RejectedInput (unreadable)."""

    seeks_by_id: bool
    """Whether any id can be asked for at once; if not, the way to it is walked from a known trade."""

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client underneath."""

    async def offered(self, wanted: Collection[str]) -> dict[str, str]:
        """Wanted symbols that trade at the venue, by its spelling."""

    async def latest(self, name: str, symbol: str, received_at: int) -> Mark | None:
        """The market's last trade."""

    async def behind(self, name: str, symbol: str, received_at: int, after: Mark, limit: int) -> list[Trade]:
        """Up to `limit` trades with ids greater than `after`, in order of id; what is not there is skipped."""

    async def history(
        self, name: str, symbol: str, received_at: int, *, until: int, since_us: int, limit: int
    ) -> list[Trade]:
        """Trades with ids up to `until`, from `since_us` on and maybe before, in order; about `limit` at most."""


class Venue(Protocol):
    """One venue's WebSocket, for the markets that it was made with."""

    @property
    def name(self) -> str:
        """As events carry it, e.g. binance."""

    @property
    def place(self) -> str:
        """Where a rejected frame was found, e.g. `ws combined stream`."""

    @property
    def beats(self) -> bool:
        """Whether the venue sends heartbeats: then silence is death even while pings are answered."""

    @property
    def sends_snapshots(self) -> bool:
        """Whether a subscription begins with a market's latest trades."""

    @property
    def markets(self) -> dict[str, str]:
        """Our symbols by the venue's spelling."""

    @property
    def url(self) -> str:
        """Address of the stream."""

    def greetings(self) -> Sequence[bytes]:
        """Messages that subscribe, sent behind the handshake."""

    def parse(self, payload: bytes, received_at: int) -> Sequence[Parsed]:
        """The events of a frame, in order.

        Raises:
            RejectedInput: the frame cannot be used.
        """
