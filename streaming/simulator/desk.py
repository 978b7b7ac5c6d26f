"""What conversations and pages ask of the world: the time, the markets, and trades that are written down as given."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.clock import time_at, wall_us
from streaming.simulator.ledger import Ledger
from streaming.simulator.venue import Backing, Day, VenueSymbol, VenueTrade


@dataclass(frozen=True)
class Desk:
    """Hands out of the backing, and keeps the ledger while doing so."""

    backing: Backing
    ledger: Ledger

    def now_us(self) -> int:
        """Platform time in microseconds."""
        return time_at(self.backing.anchors, wall_us())

    def symbols(self, venue: str) -> list[VenueSymbol]:
        """What a venue lists."""
        return [symbol for symbol in self.backing.symbols if symbol.venue == venue]

    def from_id(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Trades from an id on, or the latest ones."""
        return self._given(symbol, self.backing.trades_from(symbol, from_id, limit))

    def since(self, symbol: VenueSymbol, after_us: int, limit: int) -> list[VenueTrade]:
        """Trades later than a time."""
        return self._given(symbol, self.backing.trades_since(symbol, after_us, limit))

    def recent(self, symbol: VenueSymbol, limit: int) -> list[VenueTrade]:
        """The last trades that the stream has passed."""
        return self._given(symbol, self.backing.recent(symbol, limit))

    def latest(self, symbol: VenueSymbol) -> tuple[VenueTrade, Day] | None:
        """The latest trade and the day that it ends, where both are known; nothing is handed out by it."""
        trades = self.backing.recent(symbol, 1)
        day = self.backing.day(symbol, trades[-1].time_us) if trades else None
        return (trades[-1], day) if trades and day else None

    def _given(self, symbol: VenueSymbol, trades: list[VenueTrade]) -> list[VenueTrade]:
        self.ledger.served(symbol.market, [trade.trade_id for trade in trades])
        return trades
