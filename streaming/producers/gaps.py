"""Trade ids of one feed: what is missing, and which ids cannot be. Pure; who fetches it is elsewhere (repair.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from streaming.producers.venue import Mark

MAX_OPEN = 10_000  # runs of missing ids that are remembered for another try; the oldest go first


class Gap(NamedTuple):
    """Ids that did not arrive, both ends included, and the event time in µs of the trade before (0: unknown)."""

    first: int
    last: int
    since: int = 0

    @property
    def size(self) -> int:
        """How many."""
        return self.last - self.first + 1

    @property
    def before(self) -> Mark:
        """The trade before the gap."""
        return Mark(self.first - 1, self.since)


@dataclass
class IdTracker:
    """The greatest id of each symbol; ids of a venue's market are contiguous, so a jump is a gap."""

    last: dict[str, Mark] = field(default_factory=dict)

    def observe(self, symbol: str, trade_id: int, event_time: int = 0) -> Gap | None:
        """Note an id that was written; the ids jumped over, if any. A repeated or earlier id changes nothing."""
        last = self.last.get(symbol)
        if last is None or trade_id == last[0] + 1:
            self.last[symbol] = Mark(trade_id, event_time)
            return None
        if trade_id <= last.trade_id:
            return None
        self.last[symbol] = Mark(trade_id, event_time)
        return Gap(last.trade_id + 1, trade_id - 1, last.event_time)

    def missing_up_to(self, symbol: str, trade_id: int) -> Gap | None:
        """Ids between the last one known and `trade_id`, it included; None if nothing is missing or known."""
        last = self.last.get(symbol)
        if last is None or trade_id <= last.trade_id:
            return None
        return Gap(last.trade_id + 1, trade_id, last.event_time)

    def advance(self, symbol: str, mark: Mark) -> None:
        """All up to `mark` is dealt with."""
        last = self.last.get(symbol)
        if last is None or mark.trade_id > last.trade_id:
            self.last[symbol] = mark


@dataclass
class OpenGaps:
    """What is missing still, by symbol; bounded."""

    gaps: dict[str, list[Gap]] = field(default_factory=dict)

    def add(self, symbol: str, gaps: Iterable[Gap]) -> None:
        """Remember what could not be had."""
        self.gaps[symbol] = [*self.gaps.get(symbol, []), *gaps][-MAX_OPEN:]

    def take(self, symbol: str) -> list[Gap]:
        """All of a symbol, the newest first; what stays missing is added again."""
        return self.gaps.pop(symbol, [])[::-1]

    @property
    def ids(self) -> int:
        """How many ids are missing."""
        return sum(gap.size for gaps in self.gaps.values() for gap in gaps)


def newest(gap: Gap, limit: int) -> Gap | None:
    """The last `limit` ids of a gap: what is nearest to now is wanted most."""
    if limit <= 0:
        return None
    return gap if gap.size <= limit else Gap(gap.last - limit + 1, gap.last)


def oldest(gap: Gap, limit: int) -> Gap | None:
    """The first `limit` ids of a gap, where the way to an id begins at the gap's start."""
    return gap._replace(last=min(gap.last, gap.first + limit - 1)) if limit > 0 else None


def runs(ids: Iterable[int]) -> list[Gap]:
    """Contiguous runs of ids given in order."""
    found: list[Gap] = []
    for trade_id in ids:
        if found and trade_id == found[-1].last + 1:
            found[-1] = found[-1]._replace(last=trade_id)
        else:
            found.append(Gap(trade_id, trade_id))
    return found


def without(gap: Gap, filled: Iterable[tuple[int, Mark]]) -> Iterator[Gap]:
    """What of a gap is missing still behind `filled`: first id and last trade of each run in order of id."""
    before = gap.before
    for first, end in filled:
        if first > before.trade_id + 1:
            yield Gap(before.trade_id + 1, first - 1, before.event_time)
        before = end
    if before.trade_id < gap.last:
        yield Gap(before.trade_id + 1, gap.last, before.event_time)
