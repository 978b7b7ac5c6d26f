"""What stands behind the simulator's sockets: the seeded markets at system time. The other one is recording.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from streaming.clock import Anchors, wall_us
from streaming.simulator.day import DayFigures
from streaming.simulator.feeds import Feed, feeds_of
from streaming.simulator.market import SeededMarket
from streaming.simulator.venue import Day, Frame, VenueSymbol, VenueTrade

MAX_CATCH_UP_US = 60_000_000
"""After a stall (a suspended machine) the stream goes on from this long ago; REST has what lies before."""


@dataclass(frozen=True)
class _Listing:
    """One symbol of one venue."""

    symbol: VenueSymbol
    market: SeededMarket
    number: int
    figures: DayFigures
    feeds: dict[str, Feed]

    @staticmethod
    def of(market: SeededMarket, figures: DayFigures, number: int) -> _Listing:
        symbol = market.instruments[number].symbol
        return _Listing(symbol, market, number, figures, feeds_of(symbol, partial(figures.at, number)))

    def between(self, after_us: int, until_us: int) -> Iterator[VenueTrade]:
        """Trades later than `after_us`, up to `until_us`."""
        for index in range(self.market.minute_at(after_us), self.market.minute_at(until_us) + 1):
            minute = self.market.minute(self.number, index)
            yield from minute.trades(minute.until(after_us), minute.until(until_us))

    def next_id(self, time_us: int) -> int:
        """Id of the first trade later than a time."""
        minute = self.market.minute(self.number, self.market.minute_at(time_us))
        return minute.first_id + minute.until(time_us)

    def from_id(self, from_id: int, limit: int, until_us: int) -> list[VenueTrade]:
        """Up to `limit` trades from an id on, none later than `until_us`."""
        last = self.market.minute_at(until_us)
        first = self.market.minute_of_id(self.number, max(from_id, 1), last)
        found: list[VenueTrade] = []
        for index in range(last + 1 if first is None else first, last + 1):
            minute = self.market.minute(self.number, index)
            start = max(from_id - minute.first_id, 0)
            found.extend(minute.trades(start, min(minute.until(until_us), start + limit - len(found))))
            if len(found) >= limit:
                break
        return found


class MarketBacking:
    """Plays seeded markets as time passes.

    Args:
        markets: the venues.
        start_us: the stream begins with trades after it; default: now.
    """

    def __init__(self, *markets: SeededMarket, start_us: int | None = None) -> None:
        self._listings = {
            listing.symbol: listing
            for market, figures in [(market, DayFigures(market)) for market in markets]
            for listing in [_Listing.of(market, figures, number) for number in range(len(market.instruments))]
        }
        self._origin_us = max(market.origin_us for market in markets)
        self._position_us = _now_us() if start_us is None else start_us

    @property
    def symbols(self) -> list[VenueSymbol]:
        """The symbols of all venues."""
        return list(self._listings)

    @property
    def anchors(self) -> Anchors:
        """System time."""
        return Anchors(source="sim")

    def begin(self, venue: str) -> None:
        """The market trades whether anyone listens or not."""

    def prepare(self) -> None:
        """Draw this minute and the next: at 5,000 trades/s all markets take 0.1 s, which would hold the stream up."""
        for listing in self._listings.values():
            minute = listing.market.minute_at(_now_us())
            listing.market.minute(listing.number, minute)
            listing.market.minute(listing.number, minute + 1)

    def skip(self) -> None:
        """Nobody listens: the stream goes on without being made."""
        self._position_us = max(_now_us(), self._position_us)

    def due(self, streams: frozenset[str]) -> list[Frame]:
        """Frames of the wanted streams since the last call, in order of time."""
        now = _now_us()
        start = max(self._position_us, now - MAX_CATCH_UP_US, self._origin_us)
        self._position_us = max(now, start)
        frames: list[Frame] = []
        for listing in self._listings.values():
            wanted = [feed for name, feed in listing.feeds.items() if name in streams]
            trades: Sequence[VenueTrade] = list(listing.between(start, now)) if wanted else ()
            for feed in wanted if trades else ():
                frames.extend(feed(trades))
        frames.sort(key=_time_of)  # stable, so ids of a symbol keep their order
        return frames

    def trades_from(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades from `from_id` on, or the latest ones; only what has happened by now."""
        return self._from(symbol, from_id, limit, _now_us())

    def recent(self, symbol: VenueSymbol, limit: int) -> list[VenueTrade]:
        """The last trades that the stream has passed."""
        return self._from(symbol, None, limit, self._position_us)

    def _from(self, symbol: VenueSymbol, from_id: int | None, limit: int, until_us: int) -> list[VenueTrade]:
        listing = self._listings[symbol]
        if from_id is None:
            from_id = max(listing.next_id(until_us) - limit, 1)
        return listing.from_id(from_id, limit, until_us)

    def trades_since(self, symbol: VenueSymbol, after_us: int, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades later than `after_us`; only what has happened by now."""
        listing, now = self._listings[symbol], _now_us()
        if after_us >= now:
            return []
        first = listing.next_id(after_us) if after_us >= self._origin_us else 1
        return listing.from_id(first, limit, now)

    def day(self, symbol: VenueSymbol, time_us: int) -> Day | None:
        """The symbol's last 24 hours."""
        listing = self._listings[symbol]
        return listing.figures.at(listing.number, time_us)

    @property
    def is_behind(self) -> bool:
        """All that is due is given at once."""
        return False

    @property
    def has_ended(self) -> bool:
        """A market never ends."""
        return False

    @property
    def position(self) -> int | None:
        """Nothing to remember: time says where the stream is."""
        return None


def _time_of(frame: Frame) -> int:
    return frame.time_us


def _now_us() -> int:
    return wall_us()
