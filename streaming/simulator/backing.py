"""What stands behind the simulator's sockets: the seeded market at system time. The other one is recording.py."""

from __future__ import annotations

from collections.abc import Iterator

from streaming.clock import Anchors, wall_us
from streaming.simulator.market import INSTRUMENTS, SeededMarket
from streaming.simulator.venue import Frame, VenueSymbol, VenueTrade, trade_frame

MAX_CATCH_UP_MS = 60_000
"""After a stall (a suspended machine) the stream goes on from this long ago; REST has what lies before."""


class MarketBacking:
    """Plays the seeded market as time passes.

    Args:
        market: whose trades these are.
        start_ms: the stream begins with trades after it; default: now.
    """

    def __init__(self, market: SeededMarket, start_ms: int | None = None) -> None:
        self._market = market
        self._position_ms = _now_ms() if start_ms is None else start_ms

    @property
    def symbols(self) -> list[VenueSymbol]:
        """The ten symbols of the market."""
        return [instrument.symbol for instrument in INSTRUMENTS]

    @property
    def anchors(self) -> Anchors:
        """System time."""
        return Anchors(source="sim")

    def begin(self) -> None:
        """The market trades whether anyone listens or not."""

    def skip(self) -> None:
        """Nobody listens: the stream goes on without being made."""
        self._position_ms = _now_ms()

    def due(self, streams: frozenset[str]) -> list[Frame]:
        """Frames of the wanted streams since the last call, in order of time."""
        now = _now_ms()
        start = max(self._position_ms, now - MAX_CATCH_UP_MS, self._market.origin_ms)
        self._position_ms = max(now, start)
        timed = [
            (trade.time_ms, trade_frame(instrument.symbol, trade))
            for index, instrument in enumerate(INSTRUMENTS)
            if instrument.symbol.trade_stream in streams
            for trade in self._between(index, start, now)
        ]
        timed.sort(key=lambda pair: pair[0])  # stable, so ids of a symbol keep their order
        return [frame for _, frame in timed]

    def _between(self, symbol: int, after_ms: int, until_ms: int) -> Iterator[VenueTrade]:
        for index in range(self._market.minute_at(after_ms), self._market.minute_at(until_ms) + 1):
            minute = self._market.minute(symbol, index)
            start, stop = minute.time_ms.searchsorted([after_ms, until_ms], side="right").tolist()
            yield from minute.trades(start, stop)

    def trades_from(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades from `from_id` on, or the latest ones; only what has happened by now."""
        number = self.symbols.index(symbol)
        until_ms = _now_ms()
        now_minute = self._market.minute_at(until_ms)
        if from_id is None:
            from_id = max(self._next_id(number, until_ms) - limit, 1)
        first = self._market.minute_of_id(number, max(from_id, 1), now_minute)
        return [] if first is None else self._collect(number, (first, now_minute), from_id, limit, until_ms)

    def _next_id(self, symbol: int, now_ms: int) -> int:
        minute = self._market.minute(symbol, self._market.minute_at(now_ms))
        return minute.first_id + int(minute.time_ms.searchsorted(now_ms, side="right"))

    def _collect(
        self, symbol: int, minutes: tuple[int, int], from_id: int, limit: int, until_ms: int
    ) -> list[VenueTrade]:
        found: list[VenueTrade] = []
        for index in range(minutes[0], minutes[1] + 1):
            minute = self._market.minute(symbol, index)
            start = max(from_id - minute.first_id, 0)
            stop = int(minute.time_ms.searchsorted(until_ms, side="right"))
            found.extend(minute.trades(start, min(stop, start + limit - len(found))))
            if len(found) >= limit:
                break
        return found

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


def _now_ms() -> int:
    return wall_us() // 1000
