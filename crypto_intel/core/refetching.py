"""Which missing ids a run fetches, and when: gaps that their producer leaves open.

What belongs here: the decision, from what is open and what was tried. What does not: reading the ledger
(operations/refetching.py), asking the venue (streaming/producers/refetch.py).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from streaming.transforms.intervals import Interval, difference, from_ids

MAX_WATCHED = 500
"""Gaps that are waited for at once, the newest; the others come in when these are closed."""

MAX_STRETCHES = 200
"""Stretches of ids a run: each is a request at least."""

_KEY = ["venue", "symbol", "gap_id"]


class Policy(NamedTuple):
    """How long a gap is left to its producer, the longest wait between two runs for it, and how many ids a run asks."""

    after: timedelta
    wait_max: timedelta
    limit_ids: int


class Watched(msgspec.Struct, frozen=True):
    """A gap that is open: ids missing at the last look, runs for it that brought nothing, when the next may go (wall
    clock)."""

    ids: int
    next_at: datetime
    tries: int = 0


class RefetchCursor(msgspec.Struct):
    """Watched gaps by `venue/symbol/gap_id`; up to where statuses are known (platform clock); when all of the last days
    were looked at (wall clock)."""

    watched: dict[str, Watched] = {}
    known_until: datetime | None = None
    looked_at: datetime | None = None


class Stretch(NamedTuple):
    """Ids of a market, both ends included."""

    symbol: str
    first_id: int
    last_id: int

    @property
    def size(self) -> int:
        """How many."""
        return self.last_id - self.first_id + 1


class Ask(NamedTuple):
    """What one run asks of a venue: stretches, the gaps that they are of, and the run's key."""

    venue: str
    stretches: list[Stretch]
    gaps: list[str]
    run_key: str


def watch(missing: pl.DataFrame, before: Mapping[str, Watched], now: datetime, policy: Policy) -> dict[str, Watched]:
    """The open gaps behind a look. One that is new waits for its producer, as does one that has become smaller.

    Args:
        missing: as core.gaps.open_ids gives it.
        before: watched at the look before.
        now: wall clock.
    """
    gaps = (
        missing.with_columns(size=pl.col("last_id") - pl.col("first_id") + 1)
        .group_by(_KEY)
        .agg(pl.col("size").sum(), pl.col("found_at").max())
        .sort("found_at", *_KEY, descending=[True, False, False, False])
        .head(MAX_WATCHED)
    )
    found: dict[str, Watched] = {}
    for venue, symbol, gap_id, size, _ in gaps.iter_rows():
        key = f"{venue}/{symbol}/{gap_id}"
        known = before.get(key)
        found[key] = known if known and known.ids == size else Watched(size, now + policy.after)
    return found


def is_any_due(watched: Mapping[str, Watched], now: datetime) -> bool:
    """Whether a run may go for one of them."""
    return any(gap.next_at <= now for gap in watched.values())


def due(
    missing: pl.DataFrame, watched: Mapping[str, Watched], now: datetime, policy: Policy, busy: Collection[str] = ()
) -> list[Ask]:
    """One run a venue for its gaps whose time has come: the newest ids first, as many as a run may ask.

    Args:
        busy: venues for which a run is under way.
    """
    rows = missing.sort("found_at", "symbol", "first_id", descending=[True, False, False]).rows(named=True)
    asks: dict[str, Ask] = {}
    for row in rows:
        venue, key = row["venue"], f"{row['venue']}/{row['symbol']}/{row['gap_id']}"
        if venue in busy or key not in watched or watched[key].next_at > now:
            continue
        ask = asks.setdefault(venue, Ask(venue, [], [], ""))
        room = policy.limit_ids - sum(stretch.size for stretch in ask.stretches)
        if room > 0 and len(ask.stretches) < MAX_STRETCHES:
            first = row["first_id"]
            ask.stretches.append(Stretch(row["symbol"], first, min(row["last_id"], first + room - 1)))
            if key not in ask.gaps:
                ask.gaps.append(key)
    return [ask._replace(run_key=_run_key(ask, watched)) for ask in asks.values()]


def _run_key(ask: Ask, watched: Mapping[str, Watched]) -> str:
    # The same gaps, as far open and as often tried in vain, are the same cause.
    cause = [f"{key}:{watched[key].ids}:{watched[key].tries}" for key in sorted(ask.gaps)]
    return f"{ask.venue}/{hashlib.sha256(' '.join(cause).encode()).hexdigest()[:16]}"


def after_asking(
    watched: Mapping[str, Watched], asks: Iterable[Ask], now: datetime, policy: Policy
) -> dict[str, Watched]:
    """The watched gaps once the runs are requested: each waits twice as long as before."""
    asked = {key for ask in asks for key in ask.gaps}
    return {key: _waiting(gap, now, policy) if key in asked else gap for key, gap in watched.items()}


def _waiting(gap: Watched, now: datetime, policy: Policy) -> Watched:
    tries = gap.tries + 1
    wait = min(policy.after * 2 ** min(tries, 32), max(policy.wait_max, policy.after))
    return Watched(gap.ids, now + wait, tries)


def cut_to(missing: pl.DataFrame, asked: Sequence[Stretch]) -> list[Stretch]:
    """Of the ids asked for those that are missing still, in the order asked.

    Args:
        missing: rows of core.gaps.open_ids of one venue.
    """
    return [
        Stretch(stretch.symbol, max(first, stretch.first_id), min(last, stretch.last_id))
        for stretch in asked
        for symbol, first, last in missing.select("symbol", "first_id", "last_id").iter_rows()
        if symbol == stretch.symbol and first <= stretch.last_id and last >= stretch.first_id
    ]


class Placed(NamedTuple):
    """A stretch split by what arrived: ids that are here all the same, ids that are not, each with the event time (µs)
    of the nearest trade before it (0: none is known)."""

    here: list[Interval]
    absent: list[tuple[Interval, int]]


def place(stretch: Stretch, ids: Sequence[int], times_us: Sequence[int]) -> Placed:
    """Split a stretch.

    Args:
        ids: of trades of its market that are around and in it, ascending.
        times_us: their event times.
    """
    inner = ids[bisect_left(ids, stretch.first_id) : bisect_left(ids, stretch.last_id + 1)]
    here = from_ids(np.asarray(inner, dtype=np.int64))
    absent = difference([(stretch.first_id, stretch.last_id)], here)
    return Placed(here, [(piece, _time_before(piece[0], ids, times_us)) for piece in absent])


def _time_before(first_id: int, ids: Sequence[int], times_us: Sequence[int]) -> int:
    at = bisect_left(ids, first_id)
    return times_us[at - 1] if at else 0
