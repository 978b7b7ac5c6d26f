"""Faults on request: each does what it says, and each broken frame is refused for the reason in its name."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import FatalError, RejectedInput
from streaming.simulator.binance import trade_frames
from streaming.simulator.chaos import read_schedule
from streaming.simulator.faults import Faults, Injection, markets_of
from streaming.simulator.kraken import trade_frames_v1, trade_frames_v2
from streaming.simulator.market import INSTRUMENTS, KRAKEN_INSTRUMENTS
from streaming.simulator.mutations import moved, ways_to_break
from streaming.simulator.venue import Frame, VenueSymbol, VenueTrade

NOW_US = time.time_ns() // 1_000
SYMBOLS = [instrument.symbol for instrument in (*INSTRUMENTS, *KRAKEN_INSTRUMENTS)]
BTC, ETH = SYMBOLS[:2]
KRAKEN_BTC = KRAKEN_INSTRUMENTS[0].symbol


def trades(first: int, count: int) -> list[VenueTrade]:
    return [VenueTrade(i, NOW_US, 100_000_000, 100_000_000, False) for i in range(first, first + count)]


def frames(first: int, count: int, symbol: VenueSymbol = BTC) -> list[Frame]:
    return trade_frames(symbol, trades(first, count))


def ready(**injection: object) -> Faults:
    faults = Faults(SYMBOLS)
    faults.request(Injection(**injection))  # type: ignore[arg-type]
    return faults


def ids(applied: list[Frame]) -> list[int]:
    return [frame.trade_id for frame in applied]


def test_without_requests_frames_pass_untouched() -> None:
    passing = frames(1, 3)
    assert Faults(SYMBOLS).apply(passing).frames == passing


def test_a_gap_withholds_the_next_trades_of_its_symbol_only() -> None:
    faults = ready(kind="gap", count=2, symbol="BTCUSDT")
    applied = faults.apply(frames(1, 1) + frames(50, 2, ETH))
    assert (ids(applied.frames), applied.faults) == ([50, 51], [("gap", "binance:BTC-USDT")])
    assert ids(faults.apply(frames(2, 3)).frames) == [3, 4]
    assert faults.apply(frames(5, 1)).faults == []


def test_a_withheld_trade_is_missing_in_every_form_of_its_feed() -> None:
    both = trade_frames_v2(KRAKEN_BTC, trades(1, 3)) + trade_frames_v1(KRAKEN_BTC, trades(1, 3))
    applied = ready(kind="gap", count=2, symbol="BTC/USD").apply(both)
    assert ids(applied.frames) == [3, 3]
    assert applied.faults == [("gap", "kraken:BTC-USD")] * 2


@given(count=st.integers(1, 30), batches=st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_reordering_loses_and_doubles_nothing(count: int, batches: list[int]) -> None:
    faults, first, sent = ready(kind="reorder", count=count, venue="binance"), 1, list[int]()
    for size in [*batches, count]:
        sent += ids(faults.apply(frames(first, size)).frames)
        first += size
    assert sorted(sent) == list(range(1, first))
    assert sent[:count] == list(range(count, 0, -1))


def test_duplicates_repeat_the_last_frames_of_their_market() -> None:
    faults = Faults(SYMBOLS)
    faults.apply(frames(1, 5) + frames(80, 1, ETH))
    faults.request(Injection(kind="duplicate", count=2, symbol="BTC-USDT"))
    assert [(f.trade_id, f.injected) for f in faults.apply([]).frames] == [(4, "duplicate"), (5, "duplicate")]


def test_a_request_before_the_first_frame_waits_for_one() -> None:
    faults = ready(kind="malformed", count=1)
    assert faults.apply([]).frames == []
    assert len(faults.apply(frames(1, 1)).frames) == 2


def test_a_small_skew_moves_times_and_keeps_the_trade() -> None:
    [frame] = (applied := ready(kind="clock_skew", skew_s=-30)).apply(frames(1, 1)).frames
    assert not frame.injected
    assert f'"T":{NOW_US // 1_000 - 30_000}'.encode() in frame.payload
    assert applied.apply(frames(2, 1)).faults == []


def test_a_skew_beyond_the_tolerance_is_a_future_frame() -> None:
    [frame] = ready(kind="clock_skew", skew_s=61).apply(frames(1, 1)).frames
    assert frame.injected == "future"


@pytest.mark.parametrize("make", [trade_frames, trade_frames_v2, trade_frames_v1])
def test_times_are_moved_in_every_form(make: Callable[..., list[Frame]]) -> None:
    symbol = BTC if make is trade_frames else KRAKEN_BTC
    [later] = make(symbol, [VenueTrade(3, NOW_US + 7_000_000, 100_000_000, 100_000_000, False)])
    [earlier] = make(symbol, [VenueTrade(3, NOW_US, 100_000_000, 100_000_000, False)])
    assert moved(earlier, 7_000_000).payload == later.payload


@pytest.mark.parametrize("text", ["BTC-USDT", "btcusdt", "BTC/USDT", "binance:BTC-USDT"])
def test_a_symbol_may_be_spelled_as_we_do_or_as_the_venue_does(text: str) -> None:
    assert markets_of(Injection(kind="gap", symbol=text), SYMBOLS) == {"binance:BTC-USDT"}


@pytest.mark.parametrize("text", ["BTC/USD", "XBT/USD", "BTC-USD", "XXBTZUSD", "xbtusd"])
def test_kraken_knows_its_old_names_too(text: str) -> None:
    assert markets_of(Injection(kind="gap", symbol=text), SYMBOLS) == {"kraken:BTC-USD"}


def test_an_unknown_symbol_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(RejectedInput, match="'BTCUSD2' is not a market; allowed: kraken:BTC-USD, kraken:ETH-USD"):
        markets_of(Injection(kind="gap", venue="kraken", symbol="BTCUSD2"), SYMBOLS)


def test_a_schedule_is_read_in_order_and_names_what_is_wrong() -> None:
    read = read_schedule([{"at_s": 9, "kind": "gap"}, {"at_s": 2, "kind": "cut", "how": "silence"}])
    assert [(r.at_s, r.kind, r.how) for r in read] == [(2, "cut", "silence"), (9, "gap", "reset")]
    with pytest.raises(FatalError, match=r"fault 0 of the schedule: .*unknown field `when`"):
        read_schedule([{"kind": "gap", "when": 3}])


def refusals() -> list[tuple[Frame, str]]:
    """One frame broken in each way and protocol, with its name."""
    passing = frames(1, 1) + trade_frames_v2(KRAKEN_BTC, trades(2, 1)) + trade_frames_v1(KRAKEN_BTC, trades(3, 1))
    return [
        (frame._replace(payload=mutate(frame.payload)), name)
        for frame in passing
        for name, mutate in ways_to_break(frame).items()
    ]


def reason(frame: Frame) -> str:
    """Why the producers refuse a frame."""
    from streaming.producers.binance import parse_frame
    from streaming.producers.kraken import parse_frame as parse_kraken

    binance = {i.symbol.name: f"{i.symbol.base}-USDT" for i in INSTRUMENTS}
    kraken = {i.symbol.name: f"{i.symbol.base}-USD" for i in KRAKEN_INSTRUMENTS} | {"XBT/USD": "BTC-USD"}
    with pytest.raises(RejectedInput) as caught:
        if frame.market.startswith("kraken"):
            parse_kraken(frame.payload, NOW_US, kraken)
        else:
            parse_frame(frame.payload, NOW_US, binance)
    return caught.value.reason


@pytest.mark.parametrize("number", range(len(refusals())))
def test_every_malformed_frame_is_refused_for_the_reason_in_its_name(number: int) -> None:
    frame, name = refusals()[number]
    assert name.startswith(reason(frame))


def test_future_frames_are_whole_but_a_day_ahead() -> None:
    extra = ready(kind="future", count=3).apply(frames(1, 1)).frames[1:]
    assert [reason(frame) for frame in extra] == ["future_time"] * 3
