"""The source's own account of what it handed out, kept in a file that `verify` compares everything with.

`{"source", "ended", "markets": {market: {"intervals": [[first, last], ...], "frames": n, "unnumbered": n}},
"articles": n, "injected": {fault: n}, "injected_at": {market or venue: {fault: n}}, "position_ns", "seq"}`. Intervals
are trade ids handed out by WebSocket or REST, merged; `frames` counts WebSocket frames of trades, `unnumbered` trades
that were told without their ids. A restart reads the file and goes on counting.

**A killed simulator knows what it handed out.** Every change is written to a journal beside the file before the bytes
that it is about leave: one `write` a tick or request. The file is replaced twice a second and the journal emptied; its
records are numbered, so that none is counted twice. After a kill the journal may name the trades of the one tick that
was on its way out and did not leave; readers see those as missing ids and fetch them. A power cut is not covered:
nothing is synced to disk.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from streaming.simulator.venue import Frame

Interval = tuple[int, int]


class MarketAccount(msgspec.Struct):
    """What was handed out of one market."""

    intervals: list[Interval] = []
    frames: int = 0
    unnumbered: int = 0

    def add(self, first: int, last: int) -> None:
        """Count ids `first`..`last`, both included."""
        if self.intervals:
            start, end = self.intervals[-1]
            if start <= first <= end + 1:  # nearly always: the stream goes on
                self.intervals[-1] = (start, max(end, last))
                return
        self.intervals = merge_interval(self.intervals, (first, last))


class Account(msgspec.Struct):
    """The ledger's content."""

    source: str
    ended: bool = False
    markets: dict[str, MarketAccount] = {}
    articles: int = 0
    injected: dict[str, int] = {}
    injected_at: dict[str, dict[str, int]] = {}
    position_ns: int | None = None
    seq: int = 0

    @property
    def frames(self) -> int:
        """WebSocket frames of trades, of all markets."""
        return sum(market.frames for market in self.markets.values())

    def market(self, name: str) -> MarketAccount:
        """A market's account, which begins empty."""
        return self.markets.setdefault(name, MarketAccount())


class Change(msgspec.Struct, omit_defaults=True):
    """A record of the journal: what one tick or one request adds.

    `ids` are (market, first, last); `frames` and `unnumbered` are by market; `injected` is (fault, market or venue, n).
    """

    seq: int = 0
    ids: list[tuple[str, int, int]] = []
    frames: dict[str, int] = {}
    unnumbered: dict[str, int] = {}
    injected: list[tuple[str, str, int]] = []
    articles: int = 0
    position_ns: int | None = None

    def apply(self, account: Account) -> None:
        """Add it to an account."""
        for market, first, last in self.ids:
            account.market(market).add(first, last)
        for market, count in self.frames.items():
            account.market(market).frames += count
        for market, count in self.unnumbered.items():
            account.market(market).unnumbered += count
        for fault, place, count in self.injected:
            _count_fault(account, fault, place, count)
        account.articles += self.articles
        account.position_ns = self.position_ns if self.position_ns is not None else account.position_ns
        account.seq = self.seq


def _count_fault(account: Account, fault: str, place: str, count: int) -> None:
    # `kind:variant` counts as its kind too.
    for name in dict.fromkeys([fault.partition(":")[0], fault]):
        account.injected[name] = account.injected.get(name, 0) + count
        if place:
            own = account.injected_at.setdefault(place, {})
            own[name] = own.get(name, 0) + count


def merge_interval(intervals: list[Interval], new: Interval) -> list[Interval]:
    """Sorted, disjoint, non-touching intervals with one more added."""
    first, last = new
    low = bisect_right(intervals, first - 1, key=lambda interval: interval[1])
    if low and intervals[low - 1][1] == first - 1:
        low -= 1
    high = bisect_right(intervals, last + 1, key=lambda interval: interval[0])
    if low < high:
        first, last = min(first, intervals[low][0]), max(last, intervals[high - 1][1])
    return [*intervals[:low], (first, last), *intervals[high:]]


class Ledger:
    """Keeps the account in memory, in its file and in its journal.

    Args:
        path: of the file; an earlier account of the same source is continued.
        source: sim or replay.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        earlier = read_account(path)
        self.account = earlier if earlier and earlier.source == source else Account(source=source)
        self._written = b""
        self._article_ids: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = os.open(_journal_of(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.write()

    def handed_out(
        self, frames: Iterable[Frame], faults: Iterable[tuple[str, str]] = (), position_ns: int | None = None
    ) -> None:
        """The frames of a tick are about to leave, with (fault, market) of what no frame tells."""
        runs, counts, unnumbered, injected = _Runs(), Counter[str](), Counter[str](), Counter(faults)
        for frame in frames:
            if frame.injected:
                injected[frame.injected, frame.market] += 1
            elif frame.unnumbered:
                unnumbered[frame.market] += frame.unnumbered
            elif frame.trade_id:
                for trade_id in frame.ids or (frame.trade_id,):
                    runs.add(frame.market, trade_id)
                counts[frame.market] += 1
        if runs.ids or unnumbered or injected:
            change = Change(
                ids=runs.ids,
                frames=dict(counts),
                unnumbered=dict(unnumbered),
                injected=[(fault, place, count) for (fault, place), count in injected.items()],
                position_ns=position_ns,
            )
            self._record(change)

    def served(self, market: str, ids: list[int]) -> None:
        """Trades are about to be handed out by REST or in a snapshot, in order of id."""
        runs = _Runs()
        for trade_id in ids:
            runs.add(market, trade_id)
        if ids:
            self._record(Change(ids=runs.ids))

    def injected(self, fault: str, place: str = "") -> None:
        """A fault without a frame: a cut, a REST page; `place` is its venue or market."""
        self._record(Change(injected=[(fault, place, 1)]))

    def published(self, urls: list[str]) -> None:
        """Articles are about to be handed out; each counts once a run."""
        new = set(urls) - self._article_ids
        self._article_ids |= new
        if new:
            self._record(Change(articles=len(new)))

    def _record(self, change: Change) -> None:
        change.seq = self.account.seq + 1
        os.write(self._journal, msgspec.json.encode(change) + b"\n")
        change.apply(self.account)

    def write(self) -> None:
        """Replace the file, if anything changed, in one step that a reader cannot see half of; empty the journal."""
        content = msgspec.json.encode(self.account)
        if content == self._written:
            return
        partial = self._path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(self._path)
        os.ftruncate(self._journal, 0)
        self._written = content


class _Runs:
    """Ids as runs; ids of a market mostly follow each other, while markets take turns."""

    def __init__(self) -> None:
        self.ids: list[tuple[str, int, int]] = []
        self._last: dict[str, int] = {}  # place of each market's latest run

    def add(self, market: str, trade_id: int) -> None:
        place = self._last.get(market)
        if place is not None and self.ids[place][2] + 1 == trade_id:
            self.ids[place] = (market, self.ids[place][1], trade_id)
            return
        self._last[market] = len(self.ids)
        self.ids.append((market, trade_id, trade_id))


def read_account(path: Path) -> Account | None:
    """The account as of the last byte that left, with what the journal adds; None when there is none."""
    if not path.exists():
        return None
    # The journal first: what it loses to a file that is replaced in between, that file has.
    journal = _journal_of(path)
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    account = msgspec.json.decode(path.read_bytes(), type=Account)
    for line in lines:
        try:
            change = msgspec.json.decode(line, type=Change)
        except msgspec.DecodeError:  # the last line of a process that was killed while it wrote: nothing left after it
            break
        if change.seq > account.seq:
            change.apply(account)
    return account


def _journal_of(path: Path) -> Path:
    return path.with_suffix(".journal")
