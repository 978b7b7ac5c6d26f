"""Markets as they are right now: the open minute, changes, the sliding mean; batches and repeats change nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_intel_tests.streaming.transforms.test_market import SECOND, START, trade, trades
from streaming.transforms.bars import MINUTE_US
from streaming.transforms.decode import BEATS
from streaming.transforms.live import LiveState, Told, advance_all
from streaming.transforms.rules.engine import Rules
from streaming.transforms.rules.fired import alert_id
from streaming.transforms.rules.incidents import Incidents
from streaming.transforms.rules.price_move import PriceMove

MARKET = "binance:BTC-USDT"
RULES = Rules(Incidents(silence_s=30, patience_s=30), by_slice=(PriceMove(1.0, window_s=300, cooldown_s=300),))


def beat(at_s: float, market: str = MARKET, *, ended: bool = False) -> pl.DataFrame:
    """A heartbeat `at_s` seconds after START."""
    row = {"market": market, "event_time": START + int(at_s * SECOND), "ended": ended}
    return pl.DataFrame([row], schema=BEATS)


def step(states: dict[str, LiveState], *rows: dict[str, Any], at_s: float | None = None) -> Told:
    """One batch of the market, with a heartbeat if a time is told; the states packed and unpacked behind it."""
    beats = beat(at_s) if at_s is not None else pl.DataFrame(schema=BEATS)
    told = advance_all(states, trades(*rows).with_columns(market=pl.lit(MARKET)), beats, RULES)
    packed = msgspec.msgpack.encode(states)
    states.update(msgspec.msgpack.decode(packed, type=dict[str, LiveState]))
    return told.get(MARKET, Told())


def test_the_row_is_the_open_minute_and_the_newest_price_by_trade_id() -> None:
    row = step({}, trade(3, 12, price=103), trade(1, 10, price=101), trade(2, 11, price=99, quantity=2.0)).row
    assert row is not None
    assert (row["price"], row["open"], row["high"], row["low"]) == (103, 101, 103, 99)
    assert (row["trade_count"], row["volume_base"], row["window_start"]) == (3, 4.0, START)


def test_a_venue_without_ids_has_a_price_as_well() -> None:
    row = step({}, trade(-77, 10, price=101), trade(-5, 12, price=103)).row
    assert row is not None
    assert (row["price"], row["trade_count"]) == (103, 2)


def test_repeated_trades_change_nothing() -> None:
    states: dict[str, LiveState] = {}
    first = step(states, trade(1, 10), trade(2, 11)).row
    step(states, trade(1, 10), trade(2, 11))
    assert step(states, trade(3, 12)).row == {**first, "trade_count": 3, "volume_base": 3.0, "volume_quote": 300.0,  # type: ignore[dict-item]
                                              "event_time": START + 12 * SECOND}  # fmt: skip


def test_changes_are_against_the_closes_of_an_hour_and_a_day_before() -> None:
    states: dict[str, LiveState] = {}
    step(states, trade(1, 30, price=100))
    step(states, trade(2, 23 * 3600 + 30, price=110))
    row = step(states, trade(3, 24 * 3600 + 30, price=121)).row
    assert row is not None
    assert row["change_1h_pct"] == pytest.approx(10)
    assert row["change_24h_pct"] == pytest.approx(21)


def test_the_five_minute_mean_is_of_every_trade_of_the_last_five_minutes() -> None:
    states: dict[str, LiveState] = {}
    for minute in range(7):
        row = step(states, trade(2 * minute, 60 * minute + 1, price=100 + minute),
                   trade(2 * minute + 1, 60 * minute + 2, price=200)).row  # fmt: skip
    assert row is not None
    assert row["price_5m_mean"] == pytest.approx((102 + 103 + 104 + 105 + 106 + 5 * 200) / 10)


def test_a_market_that_did_not_trade_tells_no_row() -> None:
    states: dict[str, LiveState] = {}
    step(states, trade(1, 10))
    assert step(states, at_s=20) == Told()


def test_history_that_comes_by_rest_raises_no_alert() -> None:
    states: dict[str, LiveState] = {}
    step(states, trade(100, 3600, price=105), at_s=3600)
    old = [trade(1, 0, price=100, is_rest=True), trade(2, 30, price=110, is_rest=True)]
    assert [fired.rule for fired in step(states, *old).fired if fired.rule == "price_move"] == []


def test_a_backlog_raises_what_streaming_it_would_have_raised() -> None:
    rows = [trade(i, 10 * i, price=100 + (3 if 40 <= i < 43 else 0)) for i in range(90)]
    in_steps, at_once = {}, {}
    fired = [told for row in rows for told in step(in_steps, row).fired]  # type: ignore[arg-type]
    together = step(at_once, *rows).fired  # type: ignore[arg-type]
    assert [alert_id(MARKET, one) for one in fired] == [alert_id(MARKET, one) for one in together]
    assert [one.about for one in fired] == ["up", "down"]


_prices = st.lists(st.floats(95, 105), min_size=2, max_size=80)


@settings(max_examples=40)
@given(_prices, st.integers(1, 25), st.integers(1, 30))
def test_ids_of_alerts_do_not_depend_on_batches(prices: list[float], size: int, gap_s: int) -> None:
    rows = [trade(i, gap_s * i, price=price) for i, price in enumerate(prices)]
    found = []
    for batch in (size, len(rows)):
        states: dict[str, LiveState] = {}
        chunks = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        found.append([alert_id(MARKET, one) for chunk in chunks for one in step(states, *chunk).fired])
    assert set(found[0]) == set(found[1])


def test_a_repeated_batch_raises_the_same_alert_under_the_same_id() -> None:
    before: dict[str, LiveState] = {}
    step(before, trade(1, 0, price=100))
    packed = msgspec.msgpack.encode(before)
    ids = []
    for _ in range(2):
        states = msgspec.msgpack.decode(packed, type=dict[str, LiveState])
        (fired,) = step(states, trade(2, 30, price=102)).fired
        ids.append(alert_id(MARKET, fired))
    assert ids[0] == ids[1]


def test_the_state_of_a_market_is_bounded() -> None:
    states: dict[str, LiveState] = {}
    minutes = 3 * 24 * 60
    for minute in range(0, minutes, 31):
        step(states, trade(minute, 60 * minute))
    state = states[MARKET]
    assert len(state.closes) <= 24 * 60 + 6
    assert len(state.minutes) <= 10
    assert len(state.slices) <= 60
    assert len(state.memory.fired) <= 24 * 60
    assert min(state.closes) >= START + (minutes - 24 * 60 - 60) * MINUTE_US
