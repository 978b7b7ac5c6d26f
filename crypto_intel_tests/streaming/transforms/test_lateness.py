"""Whether a trade is late depends on the records before it, never on where a batch ends."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crypto_intel_tests.streaming.transforms.test_market import DELAY, SECOND, START
from streaming.transforms.decode import BEATS, TRADE_EVENTS
from streaming.transforms.lateness import ARRIVAL, with_lateness
from streaming.transforms.market import Closed, MarketState, advance_all

MARKETS = ("a:X-Y", "a:Z-Y")
TRADES = {**TRADE_EVENTS, ARRIVAL: pl.Int64}
SIGNS = {**BEATS, ARRIVAL: pl.Int64}


class Record(NamedTuple):
    """One of Kafka's: a trade, or without an id a heartbeat."""

    market: str
    at_s: float
    trade_id: int | None = None
    is_rest: bool = False
    ended: bool = False


def frames(records: list[Record], offset: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trades and heartbeats as the decoder gives them; the first record has the offset `offset`."""
    trades: list[dict[str, Any]] = []
    beats: list[dict[str, Any]] = []
    for place, record in enumerate(records, offset):
        row = {"market": record.market, "event_time": START + int(record.at_s * SECOND), ARRIVAL: place}
        if record.trade_id is None:
            beats.append({**row, "ended": record.ended})
        else:
            price = 100.0 + record.trade_id % 7
            more = {"price": price, "quantity": 1.0, "is_buy": True, "is_rest": record.is_rest}
            trades.append({**row, **more, "trade_id": record.trade_id})
    return pl.DataFrame(trades, schema=TRADES), pl.DataFrame(beats, schema=SIGNS)


def fed(records: list[Record], sizes: list[int]) -> dict[str, Closed]:
    """What closes when the records come in batches of these sizes and the rest in one."""
    states = {market: MarketState() for market in MARKETS}
    total = {market: Closed() for market in MARKETS}
    ends = [*accumulate(sizes), len(records)]
    for start, end in zip([0, *ends], ends, strict=False):
        if start < len(records) and start < end:
            trades, beats = frames(records[start:end], start)
            for market, closed in advance_all(states, trades, beats, delay_us=DELAY).items():
                for kind in ("minutes", "fives", "late"):
                    getattr(total[market], kind).extend(getattr(closed, kind))
        states = msgspec.msgpack.decode(msgspec.msgpack.encode(states), type=dict[str, MarketState])
    return total


def late_of(records: list[Record]) -> list[bool]:
    """Of each trade, by a new market's batch."""
    trades, beats = frames(records)
    return with_lateness({market: MarketState() for market in MARKETS}, trades, beats, DELAY)["is_late"].to_list()


X, Z = MARKETS


def test_a_trade_behind_the_record_that_closes_its_window_is_late_in_the_same_batch() -> None:
    assert late_of([Record(X, 5, 1), Record(X, 70, 3), Record(X, 59, 2)]) == [False, False, True]


def test_a_trade_before_the_record_that_closes_its_window_is_not() -> None:
    assert late_of([Record(X, 5, 1), Record(X, 59, 2), Record(X, 70, 3)]) == [False, False, False]
    assert late_of([Record(X, 5, 1), Record(X, 69.9, 3), Record(X, 59, 2)]) == [False, False, False]


def test_heartbeats_close_windows_too_and_other_markets_do_not() -> None:
    assert late_of([Record(X, 5, 1), Record(X, 70), Record(X, 59, 2)]) == [False, True]
    assert late_of([Record(X, 5, 1), Record(Z, 70), Record(Z, 80, 7), Record(X, 59, 2)]) == [False, False, False]


def test_the_end_of_a_feed_closes_the_minute_that_it_falls_in() -> None:
    records = [Record(X, 5, 1), Record(X, 50, ended=True), Record(X, 55, 2), Record(X, 61, 3)]
    assert late_of(records) == [False, True, False]


def test_before_the_first_trade_of_a_market_there_is_no_window_to_close() -> None:
    assert late_of([Record(X, 500), Record(X, 5, 1), Record(X, 6, 2)]) == [False, True]


def test_of_two_records_of_a_trade_the_one_in_time_counts() -> None:
    records = [Record(X, 5, 1), Record(X, 59, 2, is_rest=True), Record(X, 75, 3), Record(X, 59, 2), Record(X, 140)]
    closed = fed(records, [])[X]
    assert ([bar["trade_count"] for bar in closed.minutes], closed.late) == ([2, 1], [])


def test_a_five_minute_bar_says_that_it_lacks_what_came_late() -> None:
    records = [Record(X, 5, 1), Record(X, 20, 3), Record(X, 90, 4), Record(X, 10, 2), Record(X, 400, 5), Record(X, 700)]
    closed = fed(records, [])[X]
    assert [bar["coverage_pct"] for bar in closed.minutes[:2]] == [100 * 2 / 3, 100.0]
    assert (closed.fives[0]["trade_count"], closed.fives[0]["coverage_pct"]) == (3, 75.0)


_records = st.lists(
    st.tuples(st.sampled_from(MARKETS), st.floats(-90, 5), st.sampled_from("ttttttbr")), min_size=1, max_size=50
)


@settings(max_examples=40, deadline=None)
@given(_records, st.lists(st.integers(1, 12), max_size=30), st.booleans())
def test_where_batches_end_changes_nothing(drawn: list[tuple[str, float, str]], sizes: list[int], ends: bool) -> None:
    records = []
    for number, (market, offset_s, kind) in enumerate(drawn):
        at_s = 200 + 9 * number + offset_s
        if kind == "b":
            records.append(Record(market, at_s))
        else:
            # An id in five is one that came before: a repeat by REST or by the stream.
            trade_id = number if number % 5 or not number else number - 3
            known = next((r for r in records if r.market == market and r.trade_id == trade_id), None)
            records.append(Record(market, known.at_s if known else at_s, trade_id, is_rest=kind == "r"))
    if ends:
        records += [Record(market, 200 + 9 * len(drawn), ended=True) for market in MARKETS]
    whole, parts, each = fed(records, []), fed(records, sizes), fed(records, [1] * len(records))
    for market in MARKETS:
        for other in (parts, each):
            for kind in ("minutes", "fives"):
                assert_frame_equal(_bars(whole[market], kind), _bars(other[market], kind))
            assert_frame_equal(_late(whole[market]), _late(other[market]))


def _bars(closed: Closed, kind: str) -> pl.DataFrame:
    # Not the words on completeness: a larger batch may know more of what came behind the window.
    columns = ["window_start", "trade_count", "open", "high", "low", "close", "first_trade_id", "last_trade_id"]
    rows = [{name: row[name] for name in columns} for row in getattr(closed, kind)]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Float64), strict=False)


def _late(closed: Closed) -> pl.DataFrame:
    schema = {"window_start": pl.Int64, "trade_count": pl.Int64}
    rows = [{name: row[name] for name in schema} for row in closed.late]
    return pl.DataFrame(rows, schema=schema).group_by("window_start").sum().sort("window_start")
