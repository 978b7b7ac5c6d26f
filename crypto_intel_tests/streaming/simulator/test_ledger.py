"""The source's account: intervals that merge, a file that survives."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from streaming.simulator.ledger import Ledger, MarketAccount, merge_interval


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8))))
def test_intervals_hold_exactly_the_ids_that_were_added(spans: list[tuple[int, int]]) -> None:
    account, wanted = MarketAccount(), set()
    for first, size in spans:
        account.add(first, first + size)
        wanted |= set(range(first, first + size + 1))
    held = [i for first, last in account.intervals for i in range(first, last + 1)]
    assert held == sorted(wanted)
    gaps = zip(account.intervals, account.intervals[1:], strict=False)
    assert all(right[0] > left[1] + 1 for left, right in gaps)


def test_an_interval_that_fills_a_hole_joins_its_neighbours() -> None:
    assert merge_interval([(1, 3), (7, 9)], (4, 6)) == [(1, 9)]


def test_the_file_says_what_was_handed_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run" / "ledger.json", "sim")
    for trade_id in (5, 6, 9):
        ledger.sent("binance:BTC-USDT", trade_id)
    ledger.served("binance:BTC-USDT", [7, 8, 20])
    ledger.injected("future")
    ledger.injected("malformed:bad_price")
    ledger.published(["https://a", "https://b", "https://a"])
    ledger.write()
    account = json.loads((tmp_path / "run" / "ledger.json").read_text())
    assert account["markets"] == {"binance:BTC-USDT": {"intervals": [[5, 9], [20, 20]], "frames": 3}}
    assert (account["source"], account["ended"], account["articles"]) == ("sim", False, 2)
    assert account["injected"] == {"future": 1, "malformed": 1, "malformed:bad_price": 1}


def test_a_restart_goes_on_counting(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.json", "sim")
    first.sent("binance:BTC-USDT", 1)
    first.write()
    second = Ledger(tmp_path / "ledger.json", "sim")
    second.sent("binance:BTC-USDT", 2)
    assert second.account.markets["binance:BTC-USDT"].intervals == [(1, 2)]
    assert second.account.markets["binance:BTC-USDT"].frames == 2


def test_another_source_begins_an_account_of_its_own(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.json", "sim")
    first.sent("binance:BTC-USDT", 1)
    first.write()
    assert Ledger(tmp_path / "ledger.json", "replay").account.markets == {}
