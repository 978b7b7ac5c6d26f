"""Alerts judged again: by their own rule, on what has come since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest

from crypto_intel.contracts.tables import BRONZE_TRADES
from crypto_intel.core.frames import conform
from crypto_intel.core.verdicts import judge_again, reach
from crypto_intel_tests.crypto_intel.lakes import HOUR, trade
from streaming.transforms import intervals
from streaming.transforms.bars import fold
from streaming.transforms.from_bronze import trade_events
from streaming.transforms.rules import (
    Fired,
    Incidents,
    Market,
    Memory,
    NewsItem,
    NewsMove,
    PriceMove,
    Rules,
    Spike,
    evaluate,
)
from streaming.transforms.rules.market import SLICE_US

SECOND = timedelta(seconds=1)
MOVE = PriceMove(0.6, window_s=300, cooldown_s=300)
SPIKE = Spike("volume", factor=4, baseline_minutes=30, least_minutes=10, cooldown_s=300, name="volume_spike")
RULES = Rules(Incidents(silence_s=30, patience_s=0), by_slice=(MOVE,), by_minute=(SPIKE,))


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of bronze.trades."""
    return conform(pl.DataFrame(list(rows), infer_schema_length=None), BRONZE_TRADES)


def told(trades: pl.DataFrame, rules: Rules = RULES, news: tuple[NewsItem, ...] = ()) -> list[dict[str, Any]]:
    """What the rules say of these trades, as rows of public.alerts."""
    events = trade_events(trades.lazy()).collect()
    market = Market(
        slices=fold(events, SLICE_US),
        minutes=fold(events),
        seen=intervals.from_ids(events["trade_id"].to_numpy()),
        since=_us(HOUR),
        silences=(),
        news=news,
        clock=int(events["event_time"].max()),  # type: ignore[arg-type]
    )
    return [_row(fired) for fired in evaluate(market, rules, Memory(), since=_us(HOUR))]


def _row(fired: Fired) -> dict[str, Any]:
    evidence = {"bar": fired.bar, "values": fired.values, "rule": fired.by}
    return {
        "rule": fired.rule,
        "value": fired.value,
        "window_start": _time(fired.window_start),
        "window_end": _time(fired.window_end),
        "article_ids": fired.article_ids,
        "evidence": msgspec.json.encode(evidence).decode(),
    }


def _us(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def prices(*values: str) -> list[dict[str, Any]]:
    """A trade each ten seconds."""
    return [trade(n, HOUR + 10 * n * SECOND, price=value) for n, value in enumerate(values)]


def test_nothing_new_confirms_however_the_minute_went_on() -> None:
    (alert,) = told(frame(*prices("100", "100", "101")))
    later = prices("100", "100", "101", "103", "90")
    said = judge_again(alert, frame(*later))
    assert (said.verdict, said.value) == ("confirmed", alert["value"])


def test_a_lower_price_that_came_later_revises_the_move() -> None:
    rows = prices("100", "99", "101", "101")
    (alert,) = told(frame(rows[0], *({**row, "trade_id": row["trade_id"] - 1} for row in rows[2:3])))
    repaired = [rows[0], {**rows[1], "trade_id": 1, "origin": "rest"}, {**rows[2], "trade_id": 2}]
    alert["evidence"] = alert["evidence"].replace('"last_trade_id":1', '"last_trade_id":2')
    said = judge_again(alert, frame(*repaired))
    assert said.verdict == "revised"
    assert said.value == pytest.approx(100 * (101 / 99 - 1))


def test_a_lake_that_lags_behind_the_alert_says_nothing_of_it() -> None:
    (alert,) = told(frame(*prices("100", "100", "101", "101")))
    for known in (1, 3):  # without the slice that fired, and without the last trade that was known then
        assert judge_again(alert, frame(*prices("100", "100", "101", "101")[:known])).verdict is None
    assert judge_again(alert, frame(*prices("100", "100", "101", "101", "102"))).verdict == "confirmed"


def test_the_trades_of_the_minute_that_were_known_behind_the_window_are_within_reach() -> None:
    rows = prices("100", "101", "101", "101")
    (alert,) = told(frame(*rows))
    since, until = reach(alert)
    assert alert["window_end"] == HOUR + 20 * SECOND
    within = frame(*(row for row in rows if since <= row["event_time"] < until))
    assert judge_again(alert, within).verdict == "confirmed"


def minutes(*counts: int, begin: int = 0) -> list[dict[str, Any]]:
    """So many trades of one size in each minute, numbered on."""
    times = [HOUR + (60 * m + n) * SECOND for m, count in enumerate(counts) for n in range(count)]
    return [trade(begin + n, at) for n, at in enumerate(times)]


def test_a_usual_volume_that_was_missing_withdraws_the_spike() -> None:
    whole = minutes(*[10] * 12, 10)
    seen = [row for n, row in enumerate(whole) if n >= 120 or n % 10 < 2]  # of each minute before, two of ten
    (alert,) = [one for one in told(frame(*seen)) if one["rule"] == "volume_spike"]
    assert alert["value"] == 5
    assert judge_again(alert, frame(*whole)).verdict == "withdrawn"
    assert judge_again(alert, frame(*seen)).verdict == "confirmed"


def test_while_ids_are_missing_nothing_is_said_and_afterwards_what_was_withheld_is() -> None:
    rows = prices("100", "100", "101", "101")
    holed = [rows[0], *rows[2:]]
    alert = next(
        one for one in told(frame(*holed)) if one["rule"] == "data_incident" and "price_move" in one["evidence"]
    )
    assert (judge_again(alert, frame(*holed)).verdict, judge_again(alert, frame(*holed)).coverage.missing) == (None, 1)
    said = judge_again(alert, frame(*rows))
    assert (said.verdict, said.coverage.pct) == ("confirmed", 100)


def test_ids_that_were_missing_are_looked_for_by_their_numbers() -> None:
    rows = prices(*["100"] * 8)
    holed = [rows[0], *rows[4:]]
    alert = next(one for one in told(frame(*holed)) if '"first_id"' in one["evidence"])
    assert judge_again(alert, frame(*holed)).coverage.missing == 3
    assert judge_again(alert, frame(*rows)).coverage.missing == 0
    assert judge_again(alert, frame(*rows)).verdict is None
    assert reach(alert)[0] <= HOUR


def test_a_move_behind_news_is_judged_by_the_articles_it_rests_on() -> None:
    rules = Rules(Incidents(silence_s=None, patience_s=None), by_slice=(NewsMove(0.5, window_s=300),))
    news = (NewsItem("a", "a", ("BTC",), _us(HOUR + 15 * SECOND)),)
    rows = frame(*prices("100", "100", "100", "101"))
    (alert,) = told(rows, rules, news)
    assert judge_again(alert, rows, news).verdict == "confirmed"
    assert judge_again(alert, rows).verdict == "withdrawn"


def test_an_alert_that_does_not_say_by_which_rule_is_left_alone() -> None:
    (alert,) = told(frame(*prices("100", "101")))
    assert judge_again({**alert, "evidence": "{}"}, frame(*prices("100", "101"))).verdict is None
