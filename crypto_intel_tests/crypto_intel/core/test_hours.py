"""Hours close by the feeds' own clocks, and by nothing else."""

from datetime import UTC, datetime, timedelta

import polars as pl

from crypto_intel.core.frames import UTC_US
from crypto_intel.core.hours import (
    HOUR,
    NEWS_SILENCE,
    Clock,
    LateCursor,
    advance_clocks,
    closed_hours,
    event_hour,
    hour_start,
    hours_spanned,
    hours_to_rebuild,
    platform_time,
    read_clocks,
)
from crypto_intel_tests.crypto_intel import lakes

H22 = datetime(2024, 8, 8, 22, tzinfo=UTC)
H23 = H22 + HOUR
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def clock(at: datetime, *, ended: bool = False, taken_at: datetime = NOW, offset: int = 1) -> Clock:
    return Clock(offset, at, taken_at, ended)


def partitions(*clocks: Clock, venue: str = "binance") -> dict[str, Clock]:
    return {f"{venue}/{number}": one for number, one in enumerate(clocks)}


def closed(trades: dict[str, Clock], news: dict[str, Clock] | None = None) -> list[datetime]:
    return closed_hours([H23, H22], trades=trades, news=news or {}, partitions=3, now=NOW)


def test_an_hour_closes_when_every_partition_is_a_minute_past_it() -> None:
    past = clock(H23 + timedelta(seconds=60))
    assert closed(partitions(past, past, past)) == [H22]


def test_one_partition_that_is_behind_holds_the_hour_open() -> None:
    past, behind = clock(H23 + timedelta(minutes=5)), clock(H23 + timedelta(seconds=59))
    assert closed(partitions(past, behind, past)) == []


def test_a_partition_without_a_heartbeat_holds_the_hour_open() -> None:
    past = clock(H23 + timedelta(minutes=5))
    assert closed(partitions(past, past)) == []


def test_the_end_of_a_recording_closes_every_hour_oldest_first() -> None:
    end = clock(H23 + timedelta(minutes=5), ended=True)
    assert closed(partitions(end, end, end)) == [H22, H23]


def test_the_end_must_be_told_in_every_partition() -> None:
    end, still = clock(H23 + timedelta(minutes=5), ended=True), clock(H23 + timedelta(minutes=5))
    assert closed(partitions(end, end, still)) == [H22]


def test_the_slowest_venue_decides() -> None:
    fast, slow = clock(H23 + timedelta(minutes=30)), clock(H23)
    feeds = partitions(fast, fast, fast) | partitions(slow, slow, slow, venue="kraken")
    assert closed(feeds) == []


def test_a_venue_switched_off_days_ago_holds_nothing() -> None:
    running, gone = clock(H23 + timedelta(minutes=30)), clock(H22 - timedelta(days=2))
    feeds = partitions(running, running, running) | partitions(gone, gone, gone, venue="kraken")
    assert closed(feeds) == [H22]


def test_without_any_feed_nothing_is_closed() -> None:
    assert closed({}) == []


def test_live_news_holds_the_hour_until_the_news_of_its_last_minute_is_in() -> None:
    past = clock(H23 + timedelta(minutes=30))
    trades = partitions(past, past, past)
    early, late = clock(H23 + timedelta(minutes=5)), clock(H23 + timedelta(minutes=6))
    assert closed(trades, partitions(early, venue="newsapi")) == []
    assert closed(trades, partitions(late, venue="newsapi")) == [H22]


def test_a_dead_news_feed_holds_nothing() -> None:
    past = clock(H23 + timedelta(minutes=30))
    dead = clock(H22, taken_at=NOW - NEWS_SILENCE - timedelta(seconds=1))
    assert closed(partitions(past, past, past), partitions(dead, venue="newsapi")) == [H22]


def test_clocks_are_the_newest_heartbeat_of_each_partition_of_the_topic() -> None:
    rows = lakes.heartbeats(H22, H22 + timedelta(seconds=20), ended=True)
    rows += lakes.heartbeats(H23, H23, venue="newsapi", topic="news_topic")
    clocks = read_clocks(pl.DataFrame(rows).lazy(), "trades_topic")
    assert sorted(clocks) == ["binance/0", "binance/1", "binance/2"]
    assert all(one.ended and one.event_time == H22 + timedelta(seconds=20) for one in clocks.values())


def test_a_feed_that_goes_on_after_its_end_has_not_ended() -> None:
    ended = lakes.heartbeats(H22, H22, ended=True)
    later = [{**row, "kafka_offset": row["kafka_offset"] + 100} for row in lakes.heartbeats(H23, H23)]
    assert not any(one.ended for one in read_clocks(pl.DataFrame([*ended, *later]).lazy(), "trades_topic").values())


def test_known_clocks_never_go_back() -> None:
    new, old = clock(H23, offset=9), clock(H22, offset=3)
    assert advance_clocks({"a/0": new}, {"a/0": old, "a/1": old}) == {"a/0": new, "a/1": old}


def test_the_platform_clock_is_the_newest_sign_of_life() -> None:
    assert platform_time(partitions(clock(H22), clock(H23))) == H23
    assert platform_time({}) is None


def test_hours_are_those_that_files_reach_into() -> None:
    spans = pl.DataFrame(
        {
            "oldest": [H22 + timedelta(minutes=54), H23, None],
            "newest": [H23 + timedelta(seconds=1), H23 + timedelta(minutes=5), None],
        },
        schema={"oldest": UTC_US, "newest": UTC_US},
    )
    assert hours_spanned(spans) == [H22, H23]
    assert hours_spanned(spans, after=H22) == [H23]
    assert hours_spanned(spans.clear()) == []


def test_partition_keys_and_hours_are_the_same_thing() -> None:
    assert event_hour(H22) == "2024-08-08-22"
    assert hour_start("2024-08-08-22") == H22


def test_an_hour_that_was_made_is_rebuilt_once_its_late_trades_have_stopped_coming() -> None:
    made = {"2024-08-08-22"}
    first, cursor = hours_to_rebuild({"2024-08-08-22": 3}, made, LateCursor())
    assert first == {}  # more may be coming
    second, cursor = hours_to_rebuild({"2024-08-08-22": 5}, made, cursor)
    assert second == {}
    third, cursor = hours_to_rebuild({"2024-08-08-22": 5}, made, cursor)
    assert third == {"2024-08-08-22": 5}
    assert hours_to_rebuild({"2024-08-08-22": 5}, made, cursor)[0] == {}  # the same cause is acted on once
    more, cursor = hours_to_rebuild({"2024-08-08-22": 6}, made, cursor)
    assert more == {} and hours_to_rebuild({"2024-08-08-22": 6}, made, cursor)[0] == {"2024-08-08-22": 6}


def test_an_hour_whose_gaps_are_all_told_to_be_repaired_needs_no_second_look() -> None:
    made, late = {"2024-08-08-22", "2024-08-08-23"}, {"2024-08-08-22": 3, "2024-08-08-23": 4}
    asked: list[str] = []

    def is_whole(hour: str) -> bool:
        asked.append(hour)
        return hour == "2024-08-08-22"

    first, cursor = hours_to_rebuild(late, made, LateCursor(), is_whole)
    assert first == {"2024-08-08-22": 3}
    second, cursor = hours_to_rebuild(late, made, cursor, is_whole)
    assert second == {"2024-08-08-23": 4}  # as many as the look before
    assert hours_to_rebuild(late, made, cursor, is_whole)[0] == {}
    assert asked == ["2024-08-08-22", "2024-08-08-23"]  # of what has something new, once


def test_what_is_late_for_an_hour_that_is_not_made_is_in_its_first_run() -> None:
    _, cursor = hours_to_rebuild({"2024-08-08-22": 3}, set(), LateCursor())
    assert hours_to_rebuild({"2024-08-08-22": 3}, {"2024-08-08-22"}, cursor)[0] == {}


def test_hours_that_are_long_gone_are_forgotten() -> None:
    _, cursor = hours_to_rebuild({"2024-08-08-22": 3}, set(), LateCursor())
    assert hours_to_rebuild({}, set(), cursor)[1] == LateCursor()
