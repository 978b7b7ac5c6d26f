"""Cool-down, evidence, and no market alert on incomplete data."""

from __future__ import annotations

from typing import Any

from crypto_intel_tests.streaming.transforms.rules.history import at, market, path
from crypto_intel_tests.streaming.transforms.test_market import trade
from streaming.transforms.rules.engine import Memory, Rules, evaluate, silent
from streaming.transforms.rules.fired import Fired
from streaming.transforms.rules.incidents import Incidents
from streaming.transforms.rules.market import Market, NewsItem
from streaming.transforms.rules.news_move import NewsMove
from streaming.transforms.rules.price_move import PriceMove

RULES = Rules(
    Incidents(silence_s=30, patience_s=30),
    by_slice=(PriceMove(1.0, window_s=60, cooldown_s=100), NewsMove(0.5, window_s=300)),
)


def judge(there: Market, memory: Memory, since_s: float = 0) -> list[Fired]:
    """All of a market, or from a time on."""
    return evaluate(there, RULES, memory, since=at(since_s))


def test_within_the_cool_down_a_rule_fires_once_a_direction() -> None:
    there = market(*path(100, 102, 102, 100, 102, *[100.0] * 8, 102))
    assert [(fired.about, fired.at) for fired in judge(there, Memory())] == [("up", at(10)), ("down", at(30)),
                                                                            ("up", at(130))]  # fmt: skip


def test_judging_the_same_history_again_fires_nothing_more() -> None:
    memory, there = Memory(), market(*path(100, 102, 102))
    assert judge(there, memory)
    assert judge(there, memory) == []


def test_a_story_is_told_once_whatever_the_cool_down() -> None:
    news = [NewsItem("a", "a", ("BTC",), at(15))]
    there = market(*path(*[100.0, 100.6] * 12), news=news)
    assert [fired.rule for fired in judge(there, Memory())] == ["news_move"]


def test_an_alert_carries_the_bar_and_the_coverage() -> None:
    (fired,) = judge(market(*path(100, 102)), Memory())
    assert (fired.coverage_pct, fired.completeness) == (100.0, "complete")
    assert (fired.bar["window_start"], fired.bar["high"], fired.bar["trade_count"]) == (at(0), 102, 2)
    assert (fired.bar["first_trade_id"], fired.bar["last_trade_id"]) == (0, 1)


# --- incomplete data -------------------------------------------------------------------------------------------------

HOLED: list[dict[str, Any]] = [trade(0, 0, price=100), trade(5, 10, price=102)]


def test_a_move_over_missing_ids_waits_for_them() -> None:
    memory = Memory()
    assert judge(market(*HOLED), memory) == []
    repaired = [trade(i, 2 + i, price=100, is_rest=True) for i in range(1, 5)]
    (fired,) = judge(market(*HOLED, *repaired), memory, since_s=20)
    assert (fired.rule, fired.completeness, fired.coverage_pct) == ("price_move", "repaired", 100.0)
    assert memory.withheld == {}


def test_in_its_place_a_data_incident_is_told_when_they_do_not_come() -> None:
    memory = Memory()
    assert judge(market(*HOLED), memory) == []
    fired = judge(market(*HOLED, trade(6, 45, price=102)), memory, since_s=40)
    assert [(one.rule, one.completeness) for one in fired] == [("data_incident", "partial")] * 2
    told, holes = sorted(fired, key=lambda one: one.about, reverse=True)
    assert told.text.startswith("no price_move alert, since its window is not whole (4 trade ids missing): rose 2.00 %")
    assert told.coverage_pct == 100 * 2 / 6
    assert told.values == {"price_before": 100, "price": 102}
    assert holes.text == "4 trade ids missing (1 to 4) for more than 30 s"
    assert judge(market(*HOLED, trade(6, 45, price=102), trade(7, 50, price=102)), memory, since_s=40) == []


def test_ids_missing_outside_the_window_withhold_nothing() -> None:
    there = market(trade(0, 0, price=100), trade(5, 200, price=100), trade(6, 210, price=102))
    assert "price_move" in [fired.rule for fired in judge(there, Memory(), since_s=200)]


def test_a_venue_without_ids_is_judged_while_its_feed_is_heard() -> None:
    rows = [trade(-5, 0, price=100), trade(-6, 10, price=102)]
    (fired,) = judge(market(*rows), Memory())
    assert (fired.rule, fired.coverage_pct, fired.completeness) == ("price_move", None, "partial")
    silences = [(at(1), at(9))]
    assert judge(market(*rows, silences=silences), Memory()) == []


def test_a_silence_is_told_once() -> None:
    memory = Memory()
    assert [fired.rule for fired in silent(RULES, memory, at(0), at(40))] == ["data_incident"]
    assert silent(RULES, memory, at(0), at(50)) == []
    assert silent(RULES, memory, at(60), at(95))
