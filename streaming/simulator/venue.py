"""What all venues of the simulator share: markets, trades, frames, and what stands behind the sockets.

How each venue spells them on the wire: binance.py, kraken.py. No market is made here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from streaming.clock import Anchors

E8 = 100_000_000
"""Prices and quantities are integers of 1e-8, so that no float is printed."""


class VenueSymbol(NamedTuple):
    """A market as the venue lists it; tick and step are the least price and quantity, in 1e-8."""

    base: str
    quote: str
    tick_e8: int = 1_000_000
    step_e8: int = 1_000
    venue: str = "binance"

    @property
    def name(self) -> str:
        """The venue's spelling: BTCUSDT, or BTC/USD."""
        return self.base + ("/" if self.venue == "kraken" else "") + self.quote

    @property
    def market(self) -> str:
        """Our spelling with the venue: binance:BTC-USDT."""
        return f"{self.venue}:{self.base}-{self.quote}"


class VenueTrade(NamedTuple):
    """One trade; time in microseconds since 1970, price and quantity in 1e-8."""

    trade_id: int
    time_us: int
    price_e8: int
    quantity_e8: int
    buyer_is_maker: bool


class Day(NamedTuple):
    """The last 24 hours; prices and amounts in 1e-8."""

    open_e8: int
    high_e8: int
    low_e8: int
    average_e8: int
    volume_e8: int
    trades: int
    first_id: int


class Frame(NamedTuple):
    """One WebSocket message. `injected` names the fault that made it; market and id are those of its trade.

    `stream` names the feed and its form, so that a client gets what it asked for in the way it asked for it. A message
    of several trades names them all in `ids`; one that tells no ids has `unnumbered` trades.
    """

    stream: str
    market: str
    trade_id: int
    payload: bytes
    time_us: int = 0
    injected: str = ""
    ids: tuple[int, ...] = ()
    unnumbered: int = 0


class Backing(Protocol):
    """What stands behind the sockets."""

    @property
    def symbols(self) -> list[VenueSymbol]:
        """Markets on offer."""

    @property
    def anchors(self) -> Anchors:
        """The platform clock."""

    @property
    def is_behind(self) -> bool:
        """Whether more is due than the last call of `due` gave."""

    @property
    def has_ended(self) -> bool:
        """Whether the source has no more."""

    @property
    def position(self) -> int | None:
        """Where another run can go on, if that must be remembered."""

    def begin(self, venue: str) -> None:
        """A client of a venue has subscribed; the clock must run before the first frame leaves."""

    def due(self, streams: frozenset[str]) -> list[Frame]:
        """Frames of the wanted streams whose time has come since the last call."""

    def prepare(self) -> None:
        """Make what will soon be due; called in a thread, now and then."""

    def skip(self) -> None:
        """Let what is due pass, since nobody listens."""

    def trades_from(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades from `from_id` on in order of id, or the latest ones; only what has happened."""

    def trades_since(self, symbol: VenueSymbol, after_us: int, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades later than `after_us` in order of id; only what has happened."""

    def recent(self, symbol: VenueSymbol, limit: int) -> list[VenueTrade]:
        """The last trades that the stream has passed: the next one that it gives follows them."""

    def day(self, symbol: VenueSymbol, time_us: int) -> Day | None:
        """The symbol's last 24 hours, where they are known."""


def decimal_text(value_e8: int) -> str:
    """An integer of 1e-8 as the venue prints it, with eight digits behind the point."""
    return f"{value_e8 // E8}.{value_e8 % E8:08d}"


def number_text(value_e8: int) -> str:
    """An integer of 1e-8 as a JSON number: no trailing zeros but the one behind the point, never an exponent."""
    text = decimal_text(value_e8).rstrip("0")
    return text + "0" if text.endswith(".") else text


def instant_text(time_us: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    return f"{_second_text(time_us // 1_000_000)}.{time_us % 1_000_000:06d}Z"


@lru_cache(maxsize=256)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def best_prices(symbol: VenueSymbol, trade: VenueTrade) -> tuple[int, int]:
    """Best bid and ask around a trade, in 1e-8: the maker's price is the better one of his side."""
    if trade.buyer_is_maker:
        return trade.price_e8, trade.price_e8 + symbol.tick_e8
    return max(trade.price_e8 - symbol.tick_e8, 1), trade.price_e8
