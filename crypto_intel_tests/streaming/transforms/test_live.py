"""A market as it is right now, and the price-move rule: fires once per move, with an id that a repeat gives again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crypto_intel_tests.streaming.transforms.test_market import START, trade, trades
from streaming.transforms.bars import MINUTE_US
from streaming.transforms.live import LiveState, MoveRule, advance, alert_id

RULE = MoveRule(threshold_pct=1.0, window_s=300, cooldown_s=300)


def step(
    state: LiveState, *rows: dict[str, Any], clock_s: float | None = None
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """One batch; the clock is the newest trade's unless told."""
    frame = trades(*rows)
    clock = START + int(clock_s * 1e6) if clock_s is not None else int(frame["event_time"].max())  # type: ignore[arg-type]
    return advance(state, frame, clock, RULE)


def test_the_row_is_the_open_minute_and_the_newest_price_by_trade_id() -> None:
    row, _ = step(LiveState(), trade(3, 12, price=103), trade(1, 10, price=101), trade(2, 11, price=99, quantity=2.0))
    assert row is not None
    assert (row["price"], row["open"], row["high"], row["low"]) == (103, 101, 103, 99)
    assert (row["trade_count"], row["volume_base"], row["window_start"]) == (3, 4.0, START)


def test_repeated_trades_change_nothing() -> None:
    state = LiveState()
    first, _ = step(state, trade(1, 10), trade(2, 11))
    again, _ = step(state, trade(1, 10), trade(2, 11))
    assert again == first


def test_changes_are_against_the_closes_of_an_hour_and_a_day_before() -> None:
    state = LiveState()
    step(state, trade(1, 30, price=100))
    step(state, trade(2, 23 * 3600 + 30, price=110))
    row, _ = step(state, trade(3, 24 * 3600 + 30, price=121))
    assert row is not None
    assert row["change_1h_pct"] == pytest.approx(10)
    assert row["change_24h_pct"] == pytest.approx(21)


def test_the_five_minute_mean_is_of_the_closes_of_the_last_five_minutes() -> None:
    state = LiveState()
    for minute in range(7):
        row, _ = step(state, trade(minute, 60 * minute + 1, price=100 + minute))
    assert row is not None
    assert row["price_5m_mean"] == pytest.approx((102 + 103 + 104 + 105 + 106) / 5)


@pytest.mark.parametrize(("prices", "direction"), [((100, 100.5, 101.1), "up"), ((100, 99.5, 98.9), "down")])
def test_a_move_beyond_the_threshold_fires_once_per_cool_down(prices: tuple[float, ...], direction: str) -> None:
    state = LiveState()
    alerts = []
    for index, price in enumerate(prices):
        alerts += step(state, trade(index, 20 * index, price=price))[1]
    (alert,) = alerts
    assert (alert["rule"], alert["direction"], alert["window_start"]) == ("price_move", direction, START)
    assert abs(alert["value"]) >= 1.0
    assert step(state, trade(9, 80, price=prices[-1]))[1] == []


def test_a_move_over_more_than_the_window_does_not_fire() -> None:
    state = LiveState()
    assert step(state, trade(1, 0, price=100))[1] == []
    assert step(state, trade(2, 400, price=105))[1] == []


def test_history_that_comes_late_raises_no_alert() -> None:
    assert step(LiveState(), trade(1, 0, price=100), trade(2, 30, price=110), clock_s=3600)[1] == []


def test_a_repeated_batch_raises_the_same_alert_under_the_same_id() -> None:
    before = LiveState()
    step(before, trade(1, 0, price=100))
    packed = msgspec.msgpack.encode(before)
    ids = []
    for _ in range(2):
        state = msgspec.msgpack.decode(packed, type=LiveState)
        (move,) = step(state, trade(2, 30, price=102))[1]
        ids.append(alert_id(move["rule"], "b:A-B", move["window_start"], move["direction"], move["trade_id"]))
    assert ids[0] == ids[1]


def test_the_state_of_a_market_is_bounded() -> None:
    state = LiveState()
    minutes = 3 * 24 * 60
    for minute in range(0, minutes, 7):
        step(state, trade(minute, 60 * minute))
    assert len(state.closes) <= 24 * 60 + 6
    assert len(state.minutes) <= 2
    assert len(state.slices) <= 50
    assert min(state.closes) >= START + (minutes - 24 * 60 - 20) * MINUTE_US
