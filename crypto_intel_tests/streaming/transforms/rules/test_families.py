"""What each family of rules fires on, and what it does not."""

from __future__ import annotations

import pytest

from crypto_intel_tests.streaming.transforms.rules.history import at, market, path
from crypto_intel_tests.streaming.transforms.test_market import trade
from streaming.transforms.rules.incidents import Incidents, holes_found
from streaming.transforms.rules.market import NewsItem
from streaming.transforms.rules.news_move import NewsMove
from streaming.transforms.rules.price_move import PriceMove
from streaming.transforms.rules.spikes import Spike

MOVE = PriceMove(threshold_pct=1.0, window_s=60, cooldown_s=300)
VOLUME = Spike("volume", factor=5, baseline_minutes=30, least_minutes=10, cooldown_s=300, name="volume_spike")
VOLATILITY = Spike(
    "volatility", factor=4, baseline_minutes=30, least_minutes=10, cooldown_s=300, name="volatility_spike"
)
NEWS = NewsMove(threshold_pct=0.5, window_s=300)


# --- price_move ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prices", "about"), [((100, 100.5, 101.1), "up"), ((100, 99.5, 98.9), "down")])
def test_a_move_beyond_the_threshold_within_the_window_fires(prices: tuple[float, ...], about: str) -> None:
    (fired,) = MOVE.judge(market(*path(*prices)), at(20))
    assert (fired.rule, fired.about, fired.unit) == ("price_move", about, "pct")
    assert (fired.window_start, fired.window_end) == (at(0), at(30))
    assert abs(fired.value) == pytest.approx(1.1, abs=1e-6)
    assert fired.values == {"price_before": 100, "price": prices[-1]}


def test_a_move_that_took_longer_than_the_window_does_not_fire() -> None:
    assert list(MOVE.judge(market(*path(100, *[100.4] * 6, 101.2)), at(70))) == []


def test_a_move_is_not_told_again_when_the_time_of_its_window_is_over() -> None:
    # A rule whose cool-down is as long as its window would tell it twice.
    jump = [trade(1, 1, price=100), trade(2, 5, price=101.5)]
    flat = [trade(number, 10 * number - 19, price=101.5) for number in range(3, 9)]
    assert [fired.about for fired in MOVE.judge(market(*jump, *flat), at(50))] == ["up"]
    assert list(MOVE.judge(market(*jump, *flat), at(60))) == []


def test_a_move_does_not_run_backwards_within_a_slice() -> None:
    # First the high price, then the low one: a fall, not a rise.
    rows = [trade(1, 1, price=101.5), trade(2, 5, price=100)]
    assert [fired.about for fired in MOVE.judge(market(*rows), at(0))] == ["down"]


def test_twice_the_threshold_is_critical() -> None:
    severities = [next(MOVE.judge(market(*path(100, price)), at(10))).severity for price in (101.5, 102.5)]
    assert severities == ["warning", "critical"]


# --- spikes ----------------------------------------------------------------------------------------------------------


def _minutes(*volumes: float) -> list[dict[str, float]]:
    return [trade(n, 60 * n + 1, quantity=volume) for n, volume in enumerate(volumes) if volume]


def test_a_minute_of_many_times_the_usual_volume_is_a_volume_spike() -> None:
    (fired,) = VOLUME.judge(market(*_minutes(*[1.0] * 12, 6.0)), at(720))
    assert (fired.rule, fired.unit, fired.value) == ("volume_spike", "times", 6.0)
    assert fired.values == {"measured": 600.0, "median": 100.0, "minutes": 12, "baseline_start": at(0)}


def test_one_spike_among_the_minutes_before_does_not_hide_the_next() -> None:
    assert list(VOLUME.judge(market(*_minutes(*[1.0] * 6, 500.0, *[1.0] * 6, 6.0)), at(13 * 60)))


def test_there_is_no_spike_without_enough_minutes_before() -> None:
    assert list(VOLUME.judge(market(*_minutes(*[1.0] * 9, 60.0)), at(540))) == []


def test_a_market_that_is_mostly_quiet_has_no_usual_volume_and_no_spike() -> None:
    assert list(VOLUME.judge(market(*_minutes(1.0, *[0.0] * 12, 9.0)), at(13 * 60))) == []


def test_a_minute_with_many_times_the_usual_range_is_a_volatility_spike() -> None:
    calm = [trade(2 * n + i, 60 * n + 1 + i, price=100 + 0.01 * i) for n in range(12) for i in (0, 1)]
    wild = [trade(24, 721, price=100), trade(25, 722, price=100.1)]
    (fired,) = VOLATILITY.judge(market(*calm, *wild), at(720))
    assert fired.rule == "volatility_spike"
    assert fired.value == pytest.approx(10, rel=0.01)


# --- news_move -------------------------------------------------------------------------------------------------------


def _news(seconds: float, article: str = "a", cluster: str = "") -> NewsItem:
    return NewsItem(article, cluster or article, ("BTC",), at(seconds))


def test_a_move_behind_news_fires_and_names_the_articles() -> None:
    there = market(*path(100, 100, 100, 100.6), news=[_news(15, "a", "story"), _news(18, "b", "story")])
    (fired,) = NEWS.judge(there, at(30))
    assert (fired.rule, fired.about, fired.article_ids) == ("news_move", "story:up", ["a", "b"])
    assert (fired.window_start, fired.values["price_before"]) == (at(15), 100)


def test_what_moved_before_the_news_does_not_follow_from_it() -> None:
    there = market(*path(100, 101, 101, 101), news=[_news(25)])
    assert list(NEWS.judge(there, at(30))) == []


def test_news_counts_for_the_window_behind_it_only() -> None:
    there = market(*path(*[100.0] * 33, 101), news=[_news(15)])
    assert list(NEWS.judge(there, at(330))) == []


def test_two_stories_are_two_alerts() -> None:
    there = market(*path(100, 100, 100, 101), news=[_news(15, "a"), _news(16, "b")])
    assert [fired.about for fired in NEWS.judge(there, at(30))] == ["a:up", "b:up"]


# --- incidents -------------------------------------------------------------------------------------------------------

INCIDENTS = Incidents(silence_s=30, patience_s=60)


def test_a_feed_that_is_behind_its_partitions_clock_is_silent() -> None:
    (fired,) = INCIDENTS.silent(at(0), at(31))
    assert (fired.rule, fired.value, fired.unit) == ("data_incident", 31, "s")
    assert list(INCIDENTS.silent(at(0), at(29))) == []


def test_ids_that_stay_missing_are_an_incident_when_patience_ends() -> None:
    rows = [trade(1, 0), trade(2, 10), trade(6, 20), trade(7, 79)]
    there = market(*rows)
    since = holes_found(list(there.seen), {}, there.slices, there.clock)
    assert since == {3: at(20)}
    assert list(INCIDENTS.missing(there, since)) == []
    later = market(*rows, trade(8, 81))
    (fired,) = INCIDENTS.missing(later, since)
    assert fired.text == "3 trade ids missing (3 to 5) for more than 60 s"
