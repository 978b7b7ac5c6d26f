"""Bursts of news: many stories about one asset within minutes, against what is usual for it.

Pure: stories and a cursor in, bursts that are due and the next cursor out. What belongs here: the rule. What does not:
reading articles (operations/bursts.py), asking for runs (automation/bursts.py).

A burst is a window that begins with one of its stories. What stands in it belongs to it, so that a storm which goes on
is a burst a window, and each asks for one run. It is asked for when a look finds no more of it than the look before,
or when its window is over: stories come in pieces, and one run takes them all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import polars as pl

from crypto_intel.contracts.settings import NewsClock

KEPT = timedelta(hours=3)
"""How long (platform time) the cursor remembers what was asked for: longer than an hour stays open."""

LEAST_WINDOWS = 2
"""Windows of news, of any asset, that must be known before a burst: until then nobody can say what is usual."""


class Policy(NamedTuple):
    """What a burst is: at least `min_stories` within `window`, and `times_usual` as many as the asset's mean a window
    of the `baseline` before it."""

    window: timedelta
    min_stories: int
    times_usual: float
    baseline: timedelta


class Burst(NamedTuple):
    """A window of news: [start, end) on the news clock; its newest story; how many stories, and how many are usual."""

    asset: str
    start: datetime
    end: datetime
    newest: datetime
    stories: int
    usual: float

    @property
    def name(self) -> str:
        """What names the cause: the same burst has the same name at each look."""
        return f"{self.asset}/{self.start:%Y-%m-%dT%H:%M:%S.%fZ}"


class BurstCursor(msgspec.Struct):
    """By asset until when stories belong to a burst that was asked for; by name how many stories of a burst that was
    not asked for yet were here at the last look; the version of bronze.news then."""

    done_until: dict[str, datetime] = {}
    seen: dict[str, int] = {}
    version: int = -1


def stories_by_asset(news: pl.DataFrame, clock: NewsClock) -> pl.DataFrame:
    """Each story of each asset once, at its first article: asset, at; in order of time.

    Args:
        news: article_id, cluster_id, symbols, published_at, first_seen_at; repeated rows too.
        clock: which time of an article counts.
    """
    return (
        news.select(asset="symbols", story=pl.coalesce("cluster_id", "article_id"), at=pl.col(f"{clock}_at"))
        .explode("asset")
        .drop_nulls("asset")
        .group_by("asset", "story")
        .agg(pl.col("at").min())
        .select("asset", "at")
        .sort("at", "asset")
    )


def find_bursts(
    stories: pl.DataFrame, done_until: Mapping[str, datetime], since: datetime, policy: Policy
) -> list[Burst]:
    """Bursts that begin at or after `since` and are not asked for yet, by asset and time.

    None begin before so much news is known that something is usual.

    Args:
        stories: as `stories_by_asset` gives them, from `policy.baseline` before `since` on.
        done_until: of the cursor.
    """
    if stories.is_empty():
        return []
    oldest = stories["at"][0]
    since = max(since, oldest + LEAST_WINDOWS * policy.window)
    return [
        burst
        for asset, times in sorted(stories.group_by("asset").agg(pl.col("at").sort()).iter_rows())
        for burst in _of_asset(asset, times, oldest, max(since, done_until.get(asset, since)), policy)
    ]


def _of_asset(
    asset: str, times: Sequence[datetime], oldest: datetime, since: datetime, policy: Policy
) -> Iterator[Burst]:
    place = bisect_left(times, since)
    while place < len(times):
        start, end = times[place], times[place] + policy.window
        behind = bisect_left(times, end)
        usual = _usual(times, start, oldest, policy)
        if behind - place >= max(policy.min_stories, policy.times_usual * usual):
            yield Burst(asset, start, end, times[behind - 1], behind - place, usual)
            place = behind
        else:
            place += 1


def _usual(times: Sequence[datetime], start: datetime, oldest: datetime, policy: Policy) -> float:
    # Of a platform that is younger than the baseline the time that it has seen counts.
    since = max(start - policy.baseline, oldest)
    before = bisect_left(times, start) - bisect_left(times, since)
    return before * (policy.window / (start - since))


def due(bursts: Sequence[Burst], cursor: BurstCursor, now: datetime) -> tuple[list[Burst], BurstCursor]:
    """Bursts to ask for now, and the cursor behind this look.

    Args:
        bursts: as `find_bursts` gives them.
        cursor: of the look before; is not changed.
        now: platform clock.
    """
    asked = [burst for burst in bursts if burst.end <= now or cursor.seen.get(burst.name) == burst.stories]
    names = {burst.name for burst in asked}
    waiting = {burst.name: burst.stories for burst in bursts if burst.name not in names}
    kept = {asset: until for asset, until in cursor.done_until.items() if until > now - KEPT}
    return asked, BurstCursor({**kept, **{burst.asset: burst.end for burst in asked}}, waiting, cursor.version)
