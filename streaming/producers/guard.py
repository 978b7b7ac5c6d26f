"""Ids that cannot be: one absurd id must neither blind the gap detection nor pass. Pure.

A trade whose id lies further from the last one than markets go waits for the next ones. If they go on from it, the
market has moved (or counts anew) and all of them pass; if they go on from before, it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from crypto_intel.contracts.events import Trade

CONFIRMATIONS = 3


class Suspect(NamedTuple):
    """A trade that waits, and the frame that it came in."""

    trade: Trade
    payload: bytes


class JumpGuard:
    """Lets trades pass in the order of their arrival.

    Args:
        bound: an id that is further from the last one is suspect.
        refuse: called with what cannot be.
        restart: called with symbol and id when a market's ids count anew, from lower ones.
    """

    def __init__(self, bound: int, refuse: Callable[[Suspect], None], restart: Callable[[str, int], None]) -> None:
        self._bound = bound
        self._refuse = refuse
        self._restart = restart
        self.seen: dict[str, int] = {}
        """The greatest id of each symbol that arrived."""
        self._suspects: dict[str, list[Suspect]] = {}

    @property
    def suspicious(self) -> set[str]:
        """Symbols of which a trade waits."""
        return set(self._suspects)

    def admit(self, trade: Trade, payload: bytes) -> tuple[Trade, ...] | list[Trade]:
        """The trades that may pass now: usually the one given."""
        symbol, trade_id = trade.symbol, trade.trade_id
        last = self.seen.get(symbol)
        if last is None or -self._bound <= trade_id - last <= self._bound:
            if last is None or trade_id > last:
                self.seen[symbol] = trade_id
            if self._suspects and symbol in self._suspects:
                return [*self._reconsidered(symbol, trade_id), trade]
            return (trade,)
        return self._suspect(Suspect(trade, payload), last)

    def reached(self, symbol: str, trade_id: int) -> None:
        """Another source proves that the market is here."""
        self.seen[symbol] = max(trade_id, self.seen.get(symbol, trade_id))

    def _reconsidered(self, symbol: str, trade_id: int) -> list[Trade]:
        """Waiting trades that the market has reached meanwhile; the others are refused."""
        waiting = self._suspects.pop(symbol)
        self._suspects[symbol] = [w for w in waiting if abs(w.trade.trade_id - trade_id) > self._bound]
        self.refuse_all(symbol)
        return [w.trade for w in waiting if abs(w.trade.trade_id - trade_id) <= self._bound]

    def _suspect(self, suspect: Suspect, last: int) -> list[Trade]:
        symbol = suspect.trade.symbol
        waiting = self._suspects.setdefault(symbol, [])
        if waiting and not 0 <= suspect.trade.trade_id - waiting[-1].trade.trade_id <= self._bound:
            self.refuse_all(symbol)
            waiting = self._suspects.setdefault(symbol, [])
        waiting.append(suspect)
        if len({waiter.trade.trade_id for waiter in waiting}) < CONFIRMATIONS:
            return []
        del self._suspects[symbol]
        if waiting[0].trade.trade_id < last:
            self._restart(symbol, waiting[0].trade.trade_id)
        self.seen[symbol] = waiting[-1].trade.trade_id
        return [waiter.trade for waiter in waiting]

    def refuse_all(self, symbol: str | None = None) -> None:
        """Refuse what waits, of one symbol or of all."""
        for name in [symbol] if symbol else list(self._suspects):
            for suspect in self._suspects.pop(name, []):
                self._refuse(suspect)
