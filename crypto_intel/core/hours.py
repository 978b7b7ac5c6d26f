"""Which hours are closed and drained: decided from the lake alone, by the feeds' own clocks.

An hour is closed when no trade feed can still add to it: each feed's heartbeats (or its end) stand past the hour in
every partition of its topic. Because a heartbeat follows the trades of its partition, what stands before it in
Kafka is in the lake. What belongs here: the decision. What does not: reading tables, launching runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, timedelta

import msgspec
import polars as pl

HOUR = timedelta(hours=1)
GRACE = timedelta(seconds=60)
"""Feed time past the hour's end before it counts as closed: REST repairs of a reconnect come within seconds."""

NEWS_REACH = timedelta(minutes=5)
"""News this long after a window's end still belong to it, so an hour's last rows need the news until then."""

NEWS_SILENCE = timedelta(seconds=120)
"""A news feed whose last record Kafka took this long ago (wall clock) is dead and holds nothing up."""

FEED_FORGOTTEN_AFTER = timedelta(days=1)
"""A trade feed this far behind the newest one was switched off: it no longer holds hours open."""

HOUR_FORMAT = "%Y-%m-%d-%H"
DAY_FORMAT = "%Y-%m-%d"


def event_hour(moment: datetime) -> str:
    """The UTC hour of a moment as partition keys write it: YYYY-MM-DD-HH."""
    return moment.astimezone(UTC).strftime(HOUR_FORMAT)


def hour_start(key: str) -> datetime:
    """Start of the hour that a partition key names.

    Raises:
        ValueError: the key is not YYYY-MM-DD-HH.
    """
    return datetime.strptime(key, HOUR_FORMAT).replace(tzinfo=UTC)


def day_start(key: str) -> datetime:
    """Start of the UTC day that a partition key names.

    Raises:
        ValueError: the key is not YYYY-MM-DD.
    """
    return datetime.strptime(key, DAY_FORMAT).replace(tzinfo=UTC)


class Clock(msgspec.Struct, frozen=True):
    """How far a feed is in one partition of its topic: its last sign of life there.

    `taken_at` is when Kafka took that record, by the wall clock.
    """

    offset: int
    event_time: datetime
    taken_at: datetime
    ended: bool

    def is_past(self, moment: datetime) -> bool:
        """Nothing before the moment can still come."""
        return self.ended or self.event_time >= moment


Clocks = Mapping[str, Clock]
"""Clocks of one topic by `venue/partition`."""


def read_clocks(status: pl.LazyFrame, topic: str) -> dict[str, Clock]:
    """The newest sign of life of each feed in each partition of a topic.

    Args:
        status: rows of bronze.feed_status.
        topic: the topic whose heartbeats count.
    """
    newest = (
        status.filter((pl.col("kafka_topic") == topic) & pl.col("status").is_in(["heartbeat", "ended"]))
        .sort("kafka_offset")
        .group_by("venue", "kafka_partition")
        .agg(pl.col("kafka_offset", "event_time", "kafka_time", "status").last())
        .collect()
    )
    return {
        f"{venue}/{partition}": Clock(offset, event_time, taken_at, status == "ended")
        for venue, partition, offset, event_time, taken_at, status in newest.iter_rows()
    }


def advance_clocks(known: Clocks, seen: Clocks) -> dict[str, Clock]:
    """Known clocks moved forward by newer ones; they never go back."""
    newer = {key: clock for key, clock in seen.items() if key not in known or clock.offset >= known[key].offset}
    return {**known, **newer}


def platform_time(clocks: Clocks) -> datetime | None:
    """The platform clock: the newest heartbeat of any feed; None before the first."""
    return max((clock.event_time for clock in clocks.values()), default=None)


def closed_hours(
    hours: Collection[datetime], *, trades: Clocks, news: Clocks, partitions: int, now: datetime
) -> list[datetime]:
    """Those of the hours that are closed and drained, oldest first.

    Args:
        hours: starts of hours that have trades.
        trades: clocks of the trade feeds; a feed must be past the hour in all `partitions` partitions.
        news: clocks of the news feeds; a live one holds an hour until the news around its last minute are in.
        partitions: how many partitions the trades topic has.
        now: wall clock, which only tells whether a news feed is dead.
    """
    feeds = _holding_feeds(trades)
    alive_news = {k: c for k, c in news.items() if c.ended or now - c.taken_at <= NEWS_SILENCE}

    def is_closed(hour: datetime) -> bool:
        end = hour + HOUR
        drained = all(
            len(clocks) >= partitions and all(clock.is_past(end + GRACE) for clock in clocks)
            for clocks in feeds.values()
        )
        return drained and all(clock.is_past(end + NEWS_REACH + GRACE) for clock in alive_news.values())

    return sorted(hour for hour in hours if is_closed(hour)) if feeds else []


def closed_days(traded: Collection[datetime], made: Collection[datetime], clock: datetime) -> list[date]:
    """UTC days that are over and of which every hour that has trades is made, oldest first.

    Only days before the first one that is not made: a day needs the close of the day before.

    Args:
        traded: starts of hours that have trades.
        made: starts of hours that have hourly bars.
        clock: the platform's.
    """
    done = set(made)
    missing = {hour.date() for hour in traded if hour not in done}
    until = min({clock.date(), *missing})
    return sorted({hour.date() for hour in done if hour.date() < until})


def _holding_feeds(trades: Clocks) -> dict[str, list[Clock]]:
    # Clocks by venue, without feeds that were switched off long ago.
    newest = platform_time(trades)
    feeds: dict[str, list[Clock]] = {}
    for key, clock in trades.items():
        feeds.setdefault(key.rpartition("/")[0], []).append(clock)
    return {
        venue: clocks
        for venue, clocks in feeds.items()
        if newest is not None and newest - max(clock.event_time for clock in clocks) <= FEED_FORGOTTEN_AFTER
    }


def hours_spanned(spans: pl.DataFrame, after: datetime | None = None) -> list[datetime]:
    """Starts of the hours that files with trades reach into, oldest first.

    Args:
        spans: `oldest` and `newest` event time of each file.
        after: only hours behind the one that starts here.
    """
    hours = (
        spans.drop_nulls()
        .select(
            hour=pl.datetime_ranges(
                pl.col("oldest").dt.truncate("1h"), pl.col("newest").dt.truncate("1h"), interval="1h"
            )
        )
        .explode("hour")["hour"]
        .unique()
        .sort()
        .to_list()
    )
    return [hour for hour in hours if after is None or hour > after]


class LateCursor(msgspec.Struct):
    """Late trades by hour (as its partition key): how many were seen at the last look, and how many are rebuilt."""

    seen: dict[str, int] = {}
    done: dict[str, int] = {}


def hours_to_rebuild(
    late: Mapping[str, int],
    made: Collection[str],
    cursor: LateCursor,
    is_whole: Callable[[str], bool] = lambda _hour: False,
) -> tuple[dict[str, int], LateCursor]:
    """Hours that were made before trades of theirs came, with how many came; and the cursor behind this look.

    An hour waits until a look finds as many as the look before: a repair comes in pieces, and one run takes all.

    Args:
        late: late trades of recent hours, by the hour's key.
        made: keys of the hours that are made; what is late for another is in its first run.
        cursor: of the look before; is not changed.
        is_whole: whether all that an hour waits for is known to be here, so that no second look is needed; asked only
            of hours that have something new.
    """
    done = {hour: count for hour, count in cursor.done.items() if hour in late}
    rebuild: dict[str, int] = {}
    for hour, count in late.items():
        if hour not in made:
            done[hour] = count
        elif count > done.get(hour, 0) and (cursor.seen.get(hour) == count or is_whole(hour)):
            rebuild[hour] = done[hour] = count
    return rebuild, LateCursor(dict(late), done)
