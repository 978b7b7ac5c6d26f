"""A burst is many stories of one asset at once, against what is usual for it, and each is asked for once."""

from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from crypto_intel.core.bursts import Burst, BurstCursor, Policy, due, find_bursts, stories_by_asset
from crypto_intel.core.frames import UTC_US
from crypto_intel_tests.crypto_intel.lakes import article

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
POLICY = Policy(window=5 * MINUTE, min_stories=5, times_usual=6.0, baseline=timedelta(hours=24))
AT = HOUR + 20 * MINUTE
NOBODY = [("XRP", HOUR - timedelta(days=2))]
"""So much is known that something is usual, of which nothing is of the last day."""


def stories(*rows: tuple[str, datetime]) -> pl.DataFrame:
    return pl.DataFrame([*NOBODY, *rows], schema={"asset": pl.String, "at": UTC_US}, orient="row").sort("at")


def every(step: timedelta, count: int, start: datetime = AT, asset: str = "BTC") -> list[tuple[str, datetime]]:
    return [(asset, start + number * step) for number in range(count)]


def found(*rows: tuple[str, datetime], cursor: BurstCursor | None = None, policy: Policy = POLICY) -> list[Burst]:
    return find_bursts(stories(*rows), (cursor or BurstCursor()).done_until, HOUR, policy)


def names(bursts: list[Burst]) -> list[tuple[str, datetime, int]]:
    return [(burst.asset, burst.start, burst.stories) for burst in bursts]


def test_without_stories_there_is_no_burst() -> None:
    nothing = stories().clear()
    assert find_bursts(nothing, {}, HOUR, POLICY) == []
    assert due([], BurstCursor(), AT) == ([], BurstCursor())


def test_as_many_as_the_least_number_are_a_burst_and_one_less_is_none() -> None:
    assert found(*every(10 * SECOND, 4)) == []
    assert names(found(*every(10 * SECOND, 5))) == [("BTC", AT, 5)]


def test_a_story_at_the_windows_end_is_no_longer_in_it() -> None:
    four = every(SECOND, 4)
    assert found(*four, ("BTC", AT + 5 * MINUTE)) == []
    assert names(found(*four, ("BTC", AT + 5 * MINUTE - SECOND))) == [("BTC", AT, 5)]


def test_what_is_usual_for_an_asset_raises_its_bound() -> None:
    # One in five minutes over the day before: six in five minutes are a burst, five are not.
    day = every(5 * MINUTE, 288, AT - timedelta(hours=24))
    assert found(*day, *every(SECOND, 5)) == []
    (burst,) = found(*day, *every(SECOND, 6))
    assert (burst.stories, burst.usual) == (6, 1.0)
    assert names(found(*every(SECOND, 5, asset="ETH"), *day)) == [("ETH", AT, 5)]  # of another asset it is not


def test_what_is_usual_rolls_and_news_older_than_the_baseline_is_forgotten() -> None:
    old = every(5 * MINUTE, 288, AT - timedelta(hours=48))
    assert [burst.usual for burst in found(*old, *every(SECOND, 5))] == [0.0]


def test_of_a_young_platform_the_time_that_it_knows_counts() -> None:
    half_an_hour = every(5 * MINUTE, 6, AT - 30 * MINUTE)
    frame = stories(*half_an_hour, *every(SECOND, 6)).filter(pl.col("asset") == "BTC")
    assert [burst.usual for burst in find_bursts(frame, {}, HOUR, POLICY)] == [1.0]


def test_before_anything_is_usual_nothing_is_a_burst() -> None:
    first = stories(*every(SECOND, 50)).filter(pl.col("asset") == "BTC")
    assert find_bursts(first, {}, HOUR, POLICY) == []


def test_news_before_the_open_hours_begins_no_burst() -> None:
    assert found(*every(SECOND, 9, HOUR - MINUTE)) == []


def test_assets_burst_each_for_itself() -> None:
    both = [*every(SECOND, 5), *every(SECOND, 3, asset="SOL"), *every(SECOND, 6, AT + MINUTE, "ETH")]
    assert names(found(*both)) == [("BTC", AT, 5), ("ETH", AT + MINUTE, 6)]


def test_a_storm_that_goes_on_is_a_burst_a_window() -> None:
    assert names(found(*every(30 * SECOND, 20))) == [("BTC", AT, 10), ("BTC", AT + 5 * MINUTE, 10)]


def test_a_burst_is_asked_for_when_a_look_finds_no_more_of_it() -> None:
    asked, cursor = due(found(*every(SECOND, 5)), BurstCursor(), AT + MINUTE)
    assert asked == []
    asked, cursor = due(found(*every(SECOND, 7)), cursor, AT + MINUTE)
    assert asked == []
    asked, cursor = due(found(*every(SECOND, 7)), cursor, AT + MINUTE)
    assert names(asked) == [("BTC", AT, 7)]


def test_a_burst_that_does_not_end_is_asked_for_when_its_window_is_over() -> None:
    growing = found(*every(SECOND, 5))
    assert due(growing, BurstCursor(), AT + 5 * MINUTE - SECOND)[0] == []
    assert names(due(growing, BurstCursor(), AT + 5 * MINUTE)[0]) == [("BTC", AT, 5)]


def test_the_same_burst_is_not_asked_for_again_by_what_comes_late_to_it() -> None:
    _, cursor = due(found(*every(SECOND, 5)), BurstCursor(), AT + 6 * MINUTE)
    more = [*every(SECOND, 30, AT - SECOND), *every(SECOND, 4, AT + 5 * MINUTE)]
    assert found(*more, cursor=cursor) == []
    behind = [*more, *every(SECOND, 40, AT + 5 * MINUTE)]
    assert [burst.start for burst in found(*behind, cursor=cursor)] == [AT + 5 * MINUTE]  # one of its own


def test_the_cursor_survives_a_restart_of_its_process() -> None:
    _, cursor = due(found(*every(SECOND, 5)), BurstCursor(version=7), AT + 6 * MINUTE)
    _, cursor = due(found(*every(SECOND, 5), *every(SECOND, 5, asset="ETH"), cursor=cursor), cursor, AT + MINUTE)
    restored = msgspec.json.decode(msgspec.json.encode(cursor), type=BurstCursor)
    assert restored == cursor and restored.seen and restored.done_until and restored.version == 7
    assert names(found(*every(SECOND, 5), *every(SECOND, 5, asset="ETH"), cursor=restored)) == [("ETH", AT, 5)]


def test_what_was_asked_for_hours_ago_is_forgotten() -> None:
    cursor = BurstCursor({"BTC": AT, "ETH": AT - timedelta(hours=4)})
    assert due([], cursor, AT)[1].done_until == {"BTC": AT}


def test_a_story_counts_once_for_each_asset_at_its_first_article() -> None:
    again = article("b", AT + MINUTE, ["BTC"], cluster_id="a")
    rows = [article("a", AT, ["BTC", "ETH"]), again, again, article("c", AT + MINUTE, [])]
    expected = [("BTC", AT), ("ETH", AT)]
    assert stories_by_asset(pl.DataFrame(rows), "published").rows() == expected
    seen = stories_by_asset(pl.DataFrame(rows), "first_seen")["at"].to_list()
    assert seen == [AT + 30 * SECOND] * 2
