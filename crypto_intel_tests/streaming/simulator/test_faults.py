"""Faults on request: each does what it says, and each broken frame is refused for the reason in its name."""

from __future__ import annotations

import time

import pytest

from streaming.errors import RejectedInput
from streaming.producers.binance import parse_frame
from streaming.simulator.binance import trade_frame
from streaming.simulator.faults import MALFORMED, Faults, Injection
from streaming.simulator.market import INSTRUMENTS
from streaming.simulator.venue import Frame, VenueTrade

MARKETS = {i.symbol.name: f"{i.symbol.base}-USDT" for i in INSTRUMENTS}
NOW_MS = time.time_ns() // 1_000_000


def frames(first: int, count: int, symbol: int = 0) -> list[Frame]:
    trades = (VenueTrade(i, NOW_MS * 1_000, 100_000_000, 100_000_000, False) for i in range(first, first + count))
    return [trade_frame(INSTRUMENTS[symbol].symbol, trade) for trade in trades]


def test_without_requests_frames_pass_untouched() -> None:
    passing = frames(1, 3)
    assert Faults().apply(passing) == (passing, 0)


def test_a_gap_withholds_the_next_trades_of_its_symbol_only() -> None:
    faults = Faults()
    faults.request(Injection(kind="gap", count=2, symbol="BTCUSDT"))
    kept, withheld = faults.apply(frames(1, 1) + frames(50, 2, symbol=1))
    assert ([f.trade_id for f in kept], withheld) == ([50, 51], 1)
    kept, withheld = faults.apply(frames(2, 3))
    assert ([f.trade_id for f in kept], withheld) == ([3, 4], 1)
    assert faults.apply(frames(5, 1))[1] == 0


def test_duplicates_repeat_the_last_frames() -> None:
    faults = Faults()
    faults.apply(frames(1, 5))
    faults.request(Injection(kind="duplicate", count=2))
    kept, _ = faults.apply([])
    assert [(f.trade_id, f.injected) for f in kept] == [(4, "duplicate"), (5, "duplicate")]


def test_a_request_before_the_first_frame_waits_for_one() -> None:
    faults = Faults()
    faults.request(Injection(kind="malformed", count=1))
    assert faults.apply([]) == ([], 0)
    assert len(faults.apply(frames(1, 1))[0]) == 2


def test_rest_errors_are_answered_as_often_as_asked_for() -> None:
    faults = Faults()
    faults.request(Injection(kind="rest_error", count=2, status=429))
    assert [faults.next_rest_status() for _ in range(3)] == [429, 429, None]


def refusal(frame: Frame) -> str:
    with pytest.raises(RejectedInput) as caught:
        parse_frame(frame.payload, NOW_MS * 1000, MARKETS)
    return caught.value.reason


def test_every_malformed_frame_is_refused_for_the_reason_in_its_name() -> None:
    faults = Faults()
    faults.request(Injection(kind="malformed", count=len(MALFORMED)))
    broken = faults.apply(frames(1, 1))[0][1:]
    assert len(broken) == len(MALFORMED)
    for frame in broken:
        kind = frame.injected.removeprefix("malformed:")
        assert kind.startswith(refusal(frame))


def test_future_frames_are_whole_but_a_day_ahead() -> None:
    faults = Faults()
    faults.request(Injection(kind="future", count=3))
    extra = faults.apply(frames(1, 1))[0][1:]
    assert [refusal(frame) for frame in extra] == ["future_time"] * 3
