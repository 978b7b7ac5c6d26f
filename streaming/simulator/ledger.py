"""The source's own account of what it handed out, kept in a file that `verify` compares everything with.

`{"source", "ended", "markets": {market: {"intervals": [[first, last], ...], "frames": n}}, "articles": n,
"injected": {fault: n}, "position_ns"}`. Intervals are trade ids handed out by WebSocket or REST, merged; `frames`
counts WebSocket frames of trades. A restart reads the file and goes on counting.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import msgspec

Interval = tuple[int, int]


class MarketAccount(msgspec.Struct):
    """What was handed out of one market."""

    intervals: list[Interval] = []
    frames: int = 0

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
    position_ns: int | None = None


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
    """Keeps the account in memory and in its file.

    Args:
        path: of the file; an earlier account of the same source is continued.
        source: sim or replay.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self.account = _read(path, source)
        self._written = b""
        self._article_ids: set[str] = set()

    def sent(self, market: str, trade_id: int) -> None:
        """A frame of a trade was written to a client."""
        account = self._market(market)
        account.frames += 1
        account.add(trade_id, trade_id)

    def served(self, market: str, ids: list[int]) -> None:
        """Trades were handed out by REST, in order of id."""
        start = 0
        for end in range(1, len(ids) + 1):
            if end == len(ids) or ids[end] != ids[end - 1] + 1:
                self._market(market).add(ids[start], ids[end - 1])
                start = end

    def injected(self, fault: str) -> None:
        """A faulty frame was written, or a good one withheld; `kind:variant` counts as its kind too."""
        for name in dict.fromkeys([fault.partition(":")[0], fault]):
            self.account.injected[name] = self.account.injected.get(name, 0) + 1

    def published(self, urls: list[str]) -> None:
        """Articles were handed out; each counts once a run."""
        new = set(urls) - self._article_ids
        self._article_ids |= new
        self.account.articles += len(new)

    def _market(self, market: str) -> MarketAccount:
        return self.account.markets.setdefault(market, MarketAccount())

    def write(self) -> None:
        """Replace the file, if anything changed, in one step that a reader cannot see half of."""
        content = msgspec.json.encode(self.account)
        if content == self._written:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(self._path)
        self._written = content


def _read(path: Path, source: str) -> Account:
    if not path.exists():
        return Account(source=source)
    account = msgspec.json.decode(path.read_bytes(), type=Account)
    return account if account.source == source else Account(source=source)
