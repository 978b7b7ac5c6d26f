"""Trade ids of one feed: what is missing. Pure; who fetches it is elsewhere (binance_feed.py)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Gap(NamedTuple):
    """Ids that did not arrive, both ends included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass
class IdTracker:
    """The greatest id of each symbol; ids of a venue's market are contiguous, so a jump is a gap."""

    last: dict[str, int] = field(default_factory=dict)

    def observe(self, symbol: str, trade_id: int) -> Gap | None:
        """Note an id that was written; the ids jumped over, if any. A repeated or earlier id changes nothing."""
        last = self.last.get(symbol)
        if last is None or trade_id == last + 1:
            self.last[symbol] = trade_id
            return None
        if trade_id <= last:
            return None
        self.last[symbol] = trade_id
        return Gap(last + 1, trade_id - 1)

    def missing_up_to(self, symbol: str, trade_id: int) -> Gap | None:
        """Ids between the last one known and `trade_id`, it included; None if nothing is missing or known."""
        last = self.last.get(symbol)
        return None if last is None or trade_id <= last else Gap(last + 1, trade_id)


def newest(gap: Gap, limit: int) -> Gap | None:
    """The last `limit` ids of a gap: what is nearest to now is wanted most."""
    return Gap(max(gap.first, gap.last - limit + 1), gap.last) if limit > 0 else None


def runs(ids: Iterable[int]) -> list[Gap]:
    """Contiguous runs of ids given in order."""
    found: list[Gap] = []
    for trade_id in ids:
        if found and trade_id == found[-1].last + 1:
            found[-1] = found[-1]._replace(last=trade_id)
        else:
            found.append(Gap(trade_id, trade_id))
    return found
