"""One market's windows: what closes when, what a bar says, and that neither batch size nor order changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streaming.transforms.bars import TRADE_SCHEMA, Before
from streaming.transforms.batch import market_bars, to_frame
from streaming.transforms.lost import Lost
from streaming.transforms.market import Closed, MarketState, Signals, advance, advance_all

START = 1_735_689_600_000_000  # 2025-01-01T00:00:00Z, a full hour
SECOND = 1_000_000
DELAY = 10 * SECOND
NO_SIGNALS = Signals(np.array([], dtype=np.int64))


def trade(trade_id: int, at_s: float, price: float = 100.0, quantity: float = 1.0, **more: Any) -> dict[str, Any]:
    """A trade `at_s` seconds after START."""
    row = {"trade_id": trade_id, "price": price, "quantity": quantity, "is_buy": True, "is_rest": False}
    return {**row, "event_time": START + int(at_s * SECOND), **more}


def trades(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows as the functions take them."""
    return pl.DataFrame(list(rows), schema=TRADE_SCHEMA)


def beats(from_s: float, to_s: float, *, ended: bool = False) -> Signals:
    """A heartbeat every 2 s."""
    return Signals(np.arange(START + int(from_s * SECOND), START + int(to_s * SECOND) + 1, 2 * SECOND), ended)


def run(*batches: tuple[pl.DataFrame, Signals], state: MarketState | None = None, lost: Sequence[Lost] = ()) -> Closed:
    """Feed batches one by one, the state packed and unpacked between them as Spark does."""
    at = state or MarketState()
    total = Closed()
    for rows, signals in batches:
        closed = advance(at, rows, signals, delay_us=DELAY, lost=lost)
        total.minutes += closed.minutes
        total.fives += closed.fives
        total.means += closed.means
        total.late += closed.late
        at = msgspec.msgpack.decode(msgspec.msgpack.encode(at), type=MarketState)
    return total


def test_a_window_closes_when_the_markets_clock_is_past_its_end_by_the_delay() -> None:
    first = trades(trade(1, 5), trade(2, 59))
    assert run((first, beats(0, 69))).minutes == []
    closed = run((first, beats(0, 70)))
    assert [row["window_start"] for row in closed.minutes] == [START]


def test_open_and_close_are_by_trade_id_not_by_arrival() -> None:
    shuffled = trades(trade(3, 30, price=103), trade(1, 10, price=101), trade(2, 20, price=102))
    (bar,) = run((shuffled, beats(0, 70))).minutes
    assert (bar["open"], bar["close"], bar["high"], bar["low"]) == (101, 103, 103, 101)
    assert (bar["first_trade_id"], bar["last_trade_id"], bar["trade_count"]) == (1, 3, 3)


def test_a_trade_id_counts_once_however_often_it_comes() -> None:
    once = trades(trade(1, 5), trade(2, 6))
    again = trades(trade(2, 6), trade(1, 5, is_rest=True), trade(3, 7), trade(3, 7))
    (bar,) = run((once, NO_SIGNALS), (again, beats(0, 70))).minutes
    assert (bar["trade_count"], bar["volume_base"]) == (3, 3.0)


def test_a_quiet_minute_of_a_live_feed_is_a_quiet_bar_at_the_price_before() -> None:
    bars = run((trades(trade(1, 5, price=7)), beats(0, 130))).minutes
    assert [(bar["trade_count"], bar["completeness"]) for bar in bars] == [(1, "partial"), (0, "quiet")]
    assert (bars[1]["open"], bars[1]["close"], bars[1]["coverage_pct"]) == (7, 7, 100.0)


def test_a_minute_without_trades_on_a_silent_feed_is_partial_and_says_why() -> None:
    silent = Signals(np.concatenate((beats(0, 20).times, beats(130, 140).times)))
    bars = run((trades(trade(1, 5)), silent)).minutes
    assert bars[1]["completeness"] == "partial"
    assert bars[1]["completeness_reason"] == "feed silent 2025-01-01T00:00:20Z to 2025-01-01T00:02:10Z"


def test_contiguous_ids_across_a_silence_prove_that_nothing_is_missing() -> None:
    silent = Signals(np.concatenate((beats(0, 20).times, beats(130, 140).times)))
    before = MarketState(
        closed_us=START, before_minute=Before(0, 99.0), before_five=Before(0, 99.0), alive_us=START, alive_from_us=1
    )
    bars = run((trades(trade(1, 5), trade(2, 131)), silent), state=before).minutes
    assert [bar["completeness"] for bar in bars] == ["complete", "quiet"]


def test_missing_ids_lower_the_coverage_and_are_named() -> None:
    bars = run((trades(trade(1, 5), trade(2, 61), trade(6, 62), trade(7, 121)), beats(0, 190))).minutes
    assert bars[1]["completeness"] == "partial"
    assert bars[1]["completeness_reason"] == "3 trade ids missing"
    assert bars[1]["coverage_pct"] == pytest.approx(100 * 2 / 5)


def test_ids_that_interleave_over_a_windows_edge_are_not_missing() -> None:
    rows = trades(trade(1, 5), trade(2, 30), trade(4, 59.9), trade(3, 60.1), trade(5, 61))
    bars = run((rows, beats(0, 130))).minutes
    assert [bar["coverage_pct"] for bar in bars] == [100.0, 100.0]


def test_a_window_filled_by_rest_is_repaired() -> None:
    rows = trades(trade(1, 5), trade(2, 61), trade(3, 62, is_rest=True), trade(4, 63))
    assert run((rows, beats(0, 130))).minutes[1]["completeness"] == "repaired"


def test_the_first_window_of_a_market_is_partial() -> None:
    (bar,) = run((trades(trade(1, 5)), beats(0, 70))).minutes
    assert bar["completeness"] == "partial"
    assert bar["return_pct"] is None


def test_late_arrivals_are_listed_and_never_change_a_written_bar() -> None:
    closed = run(
        (trades(trade(1, 5), trade(5, 65)), beats(0, 130)),
        (trades(trade(2, 6), trade(3, 7), trade(2, 6)), NO_SIGNALS),
        (trades(trade(2, 6)), NO_SIGNALS),
    )
    assert [bar["trade_count"] for bar in closed.minutes] == [1, 1]
    assert closed.late == [{"window_start": START, "trade_count": 2, "first_trade_id": 2, "last_trade_id": 3}]


def test_the_end_of_a_feed_closes_every_window_and_the_cut_one_is_partial() -> None:
    closed = run((trades(trade(1, 5), trade(2, 65)), beats(0, 66, ended=True)))
    assert [bar["completeness"] for bar in closed.minutes] == ["partial", "partial"]
    assert closed.minutes[1]["completeness_reason"] == "feed ended at 2025-01-01T00:01:06Z"
    assert [bar["trade_count"] for bar in closed.fives] == [2]


def test_five_minutes_are_the_sum_of_their_minutes() -> None:
    rows = trades(*(trade(i, 20 * i, price=100 + i) for i in range(1, 31)))
    closed = run((rows, beats(0, 620)))
    assert len(closed.minutes) == 10
    assert [bar["trade_count"] for bar in closed.fives] == [
        sum(bar["trade_count"] for bar in closed.minutes[:5]),
        sum(bar["trade_count"] for bar in closed.minutes[5:]),
    ]
    assert closed.fives[1]["return_pct"] == pytest.approx(
        100 * (closed.fives[1]["close"] / closed.fives[0]["close"] - 1)
    )


_market = st.lists(
    st.tuples(st.floats(0, 400), st.floats(1, 1000), st.floats(0.001, 50), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=60)
@given(_market, st.integers(1, 20), st.randoms(use_true_random=False))
def test_batches_and_their_order_do_not_change_what_streams(rows: Any, size: int, rnd: Any) -> None:
    ordered = sorted(rows)
    all_trades = trades(
        *(trade(i, at, price, quantity, is_buy=buy) for i, (at, price, quantity, buy) in enumerate(ordered))
    )
    batch = market_bars("binance", "BTC-USDT", all_trades, beats(0, 500), start_us=START, end_us=START + 3600 * SECOND)
    chunks = [all_trades[i : i + size] for i in range(0, all_trades.height, size)]
    batches = []
    for chunk in chunks:
        shuffled = chunk[rnd.sample(range(chunk.height), chunk.height)]
        newest = int(chunk["event_time"].max())  # type: ignore[arg-type]
        batches.append((pl.concat([shuffled, chunk[:1]]), Signals(np.array([newest]))))
    batches.append((all_trades.clear(), beats(0, 500)))
    streamed = to_frame("binance", "BTC-USDT", run(*batches).minutes)
    compared = [name for name in streamed.columns if not name.startswith("completeness")]
    both = streamed.join(batch, on="window_start", how="inner")
    assert both.height == batch.height
    assert_frame_equal(
        streamed.filter(pl.col("window_start") <= batch["window_start"].max()).select(compared),
        batch.select(compared),
        rel_tol=1e-9,
        abs_tol=1e-9,
    )


def test_bars_go_on_over_an_hours_edge_as_if_there_were_none() -> None:
    rows = trades(*(trade(i, 10 * i, price=100 + i % 7) for i in range(1, 700)))
    cut = START + 3600 * SECOND
    whole = market_bars("b", "A-B", rows, beats(0, 7100), start_us=START, end_us=START + 7200 * SECOND)
    early, later = rows.filter(pl.col("event_time") < cut), rows.filter(pl.col("event_time") >= cut)
    last = early.row(-1, named=True)
    parts = [
        market_bars("b", "A-B", early, beats(0, 3700), start_us=START, end_us=cut),
        market_bars(
            "b",
            "A-B",
            later,
            beats(3500, 7100),
            start_us=cut,
            end_us=cut + 3600 * SECOND,
            before=Before(last["trade_id"], last["price"]),
        ),
    ]
    joined = pl.concat(parts)
    values = [name for name in joined.columns if not name.startswith("completeness")]
    assert joined.height == 118  # of 120 minutes: the clock stops at 7,100 s
    assert_frame_equal(joined.select(values), whole.select(values), rel_tol=1e-12)


# --- the sliding mean ------------------------------------------------------------------------------------------------


def test_with_each_minute_comes_the_mean_of_the_trades_of_five_minutes() -> None:
    prices = [(minute, price) for minute in range(7) for price in (100.0 + minute, 110.0)]
    rows = trades(*(trade(n, 60 * minute + n % 2, price=price) for n, (minute, price) in enumerate(prices)))
    means = run((rows, beats(0, 430))).means
    assert [mean["window_end"] - START for mean in means] == [60 * SECOND * minute for minute in range(1, 8)]
    assert {mean["window_end"] - mean["window_start"] for mean in means} == {300 * SECOND}
    assert means[-1]["price_mean"] == pytest.approx(sum(price for minute, price in prices if minute >= 2) / 10)
    assert means[-1]["trade_count"] == 10


def test_a_mean_counts_trades_alike_and_its_vwap_by_volume() -> None:
    (mean,) = run((trades(trade(1, 5, price=100, quantity=3), trade(2, 6, price=104)), beats(0, 70))).means
    assert (mean["price_mean"], mean["vwap"]) == (102, 101)


def test_a_mean_is_as_complete_as_the_worst_of_its_minutes() -> None:
    rows = trades(
        *(trade(n, 60 * n + 1) for n in range(6)), trade(9, 361), *(trade(10 + n, 421 + 60 * n) for n in range(6))
    )
    means = run((rows, beats(0, 800))).means
    found = [(mean["completeness"], mean["completeness_reason"]) for mean in means]
    assert found[:4] == [("partial", f"this market is known for {n} of 5 minutes") for n in (1, 2, 3, 4)]
    assert found[4][0] == "partial"  # the market's first minute is
    assert found[5] == ("complete", "")
    assert found[6:11] == [("partial", "3 trade ids missing")] * 5
    assert means[6]["coverage_pct"] == pytest.approx(100 * 5 / 8)
    assert found[11] == ("complete", "")


def test_without_trades_the_mean_stands_at_the_last_close() -> None:
    means = run((trades(trade(1, 5, price=7)), beats(0, 430))).means
    assert (means[-1]["price_mean"], means[-1]["trade_count"], means[-1]["vwap"]) == (7, 0, None)
    assert (means[-1]["completeness"], means[-1]["coverage_pct"]) == ("quiet", 100.0)


# --- quiet or dead, late or lost -------------------------------------------------------------------------------------


def test_a_feed_that_dies_leaves_no_quiet_minutes_behind() -> None:
    dead = Signals(np.concatenate((beats(0, 130).times, beats(400, 410).times)))
    bars = run((trades(trade(1, 5)), dead)).minutes
    reason = "feed silent 2025-01-01T00:02:10Z to 2025-01-01T00:06:40Z"
    assert [bar["completeness"] for bar in bars] == ["partial", "quiet", "partial", "partial", "partial", "partial"]
    assert {bar["completeness_reason"] for bar in bars[2:]} == {reason}


def test_the_heartbeats_of_another_feed_do_not_make_a_dead_one_quiet() -> None:
    states = {"a": MarketState(), "b": MarketState()}
    both = pl.concat([trades(trade(1, 5)).with_columns(market=pl.lit(name)) for name in states])
    alive = pl.DataFrame({"market": "a", "event_time": beats(0, 190).times, "ended": False})
    closed = advance_all(states, both, alive, delay_us=DELAY)
    assert [bar["completeness"] for bar in closed["a"].minutes] == ["partial", "quiet", "quiet"]
    assert closed["b"].minutes == []  # its time stands still


LOST = [Lost(3, 4, "not in the venue's answer"), Lost(5, 5, "")]


def test_a_window_that_lacks_only_what_the_venue_no_longer_has_is_unrecoverable() -> None:
    rows = trades(trade(1, 5), trade(2, 61), trade(6, 62), trade(7, 121))
    bars = run((rows, beats(0, 190)), lost=LOST).minutes
    assert bars[1]["completeness"] == "unrecoverable"
    assert bars[1]["completeness_reason"] == "3 trade ids that the venue no longer has: not in the venue's answer"
    assert bars[1]["coverage_pct"] == pytest.approx(100 * 2 / 5)


def test_a_window_that_may_still_get_some_of_its_trades_is_partial() -> None:
    rows = trades(trade(1, 5), trade(2, 61), trade(6, 62), trade(7, 121))
    assert run((rows, beats(0, 190)), lost=LOST[:1]).minutes[1]["completeness"] == "partial"
