"""The source's account: intervals that merge, a file that survives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streaming.simulator.ledger import Ledger, MarketAccount, merge_interval, read_account
from streaming.simulator.venue import Frame


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


BTC = "binance:BTC-USDT"


def frame(trade_id: int, **facts: Any) -> Frame:
    return Frame("btcusdt@trade", BTC, trade_id, b"", **facts)


def test_the_file_says_what_was_handed_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run" / "ledger.json", "sim")
    ledger.handed_out([frame(5), frame(6), frame(9, injected="future"), frame(9)], [("gap", BTC)])
    ledger.served(BTC, [7, 8, 20])
    ledger.injected("cut:silence", "binance")
    ledger.handed_out([frame(9, injected="malformed:bad_price"), frame(50, unnumbered=2)])
    ledger.published(["https://a", "https://b", "https://a"])
    ledger.write()
    account = json.loads((tmp_path / "run" / "ledger.json").read_text())
    assert account["markets"] == {BTC: {"intervals": [[5, 9], [20, 20]], "frames": 3, "unnumbered": 2}}
    assert (account["source"], account["ended"], account["articles"]) == ("sim", False, 2)
    own = {"future": 1, "gap": 1, "malformed": 1, "malformed:bad_price": 1}
    assert account["injected"] == own | {"cut": 1, "cut:silence": 1}
    assert account["injected_at"] == {BTC: own, "binance": {"cut": 1, "cut:silence": 1}}


def test_a_restart_goes_on_counting(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.json", "sim")
    first.handed_out([frame(1)])
    first.write()
    second = Ledger(tmp_path / "ledger.json", "sim")
    second.handed_out([frame(2)])
    assert second.account.markets[BTC] == MarketAccount([(1, 2)], 2)


def test_a_killed_ledger_forgets_nothing(tmp_path: Path) -> None:
    killed = Ledger(tmp_path / "ledger.json", "sim")
    killed.handed_out([frame(1), frame(2)])
    killed.write()
    killed.handed_out([frame(3)])
    killed.served(BTC, [9])
    assert read_account(tmp_path / "ledger.json") == killed.account
    assert Ledger(tmp_path / "ledger.json", "sim").account == killed.account


def test_a_record_that_is_in_the_file_already_is_not_counted_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json", "sim")
    ledger.handed_out([frame(1), frame(2)])
    journal = (tmp_path / "ledger.journal").read_bytes()
    ledger.write()
    (tmp_path / "ledger.journal").write_bytes(journal)  # killed between the two steps
    account = read_account(tmp_path / "ledger.json")
    assert account is not None
    assert account.markets[BTC].frames == 2


def test_half_a_record_at_the_end_is_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json", "sim")
    ledger.handed_out([frame(1)])
    with (tmp_path / "ledger.journal").open("ab") as journal:
        journal.write(b'{"seq":2,"ids":[["bina')
    assert Ledger(tmp_path / "ledger.json", "sim").account.markets[BTC].frames == 1


def test_another_source_begins_an_account_of_its_own(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.json", "sim")
    first.handed_out([frame(1)])
    first.write()
    assert Ledger(tmp_path / "ledger.json", "replay").account.markets == {}
