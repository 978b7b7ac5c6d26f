"""The ledger of gaps: the same facts give the same ledger, in any order and however often they are told."""

from __future__ import annotations

import itertools
from datetime import timedelta
from random import Random

import polars as pl
import pytest

from crypto_intel.core.gaps import fold
from crypto_intel_tests.streaming.sinks.conftest import Rows
from crypto_intel_tests.streaming.sinks.rows import MARKET, START, gap
from streaming.sinks.postgres import PostgresSink, gap_rows

_OTHER = {"symbol": "ETH-USDT"}


@pytest.mark.stack
def test_a_gap_is_open_until_every_id_is_back(sink: PostgresSink, rows: Rows) -> None:
    told = [gap("gap", 10, 19), gap("repaired", 10, 14, 5), gap("repaired", 13, 19, 7)]
    expected = [("open", 0, None), ("open", 5, None), ("repaired", 10, START + timedelta(seconds=7))]
    for batch_id, (status, (state, count, at)) in enumerate(zip(told, expected, strict=True)):
        sink.publish(batch_id, feed_status=status)
        assert rows("SELECT * FROM gaps") == [
            {
                **MARKET, "first_id": 10, "last_id": 19, "found_at": START, "reason": "10 trades", "state": state,
                "repaired_at": at, "repaired_count": count, "span_start": None, "span_end": None,
                "unrecoverable_count": 0, "unrecoverable_reason": "",
            }
        ]  # fmt: skip


@pytest.mark.stack
def test_the_order_in_which_gaps_and_repairs_are_told_does_not_matter(sink: PostgresSink, rows: Rows) -> None:
    told = [gap("gap", 10, 14), gap("gap", 10, 19, 3), gap("repaired", 8, 14, 5), gap("repaired", 15, 30, 7)]
    ledgers = []
    for batch_id, order in enumerate(itertools.permutations([*told, told[0]])):
        rows("WITH cleared AS (DELETE FROM gaps) DELETE FROM ops.gap_repairs RETURNING 1")
        rows("DELETE FROM gaps RETURNING 1")
        for part, status in enumerate(order):
            sink.publish(batch_id * 10 + part, feed_status=status)
        ledgers.append(rows("SELECT first_id, last_id, found_at, state, repaired_count FROM gaps"))
    assert ledgers[0] == [{"first_id": 10, "last_id": 19, "found_at": START, "state": "repaired", "repaired_count": 10}]
    assert all(ledger == ledgers[0] for ledger in ledgers)


@pytest.mark.stack
def test_a_repair_fills_the_gaps_of_its_own_market_only(sink: PostgresSink, rows: Rows) -> None:
    sink.publish(0, feed_status=pl.concat([gap("gap", 1, 2), gap("gap", 1, 2, **_OTHER), gap("repaired", 1, 2)]))
    assert rows("SELECT symbol, state FROM gaps ORDER BY symbol") == [
        {"symbol": "BTC-USDT", "state": "repaired"},
        {"symbol": "ETH-USDT", "state": "open"},
    ]


@pytest.mark.stack
def test_ids_given_up_stay_so_until_they_come_back_after_all(sink: PostgresSink, rows: Rows) -> None:
    sink.publish(0, feed_status=pl.concat([gap("gap", 1, 4), gap("unrecoverable", 2, 4)]))
    told = [
        ("open", 3, "3 trades"),
        ("unrecoverable", 3, "3 trades"),
        ("unrecoverable", 2, "3 trades"),
        ("repaired", 0, ""),
    ]
    for batch_id, (last_id, (state, count, reason)) in enumerate(zip((0, 1, 2, 4), told, strict=True), start=1):
        sink.publish(batch_id, feed_status=gap("repaired", last_id, last_id) if last_id < 4 else gap("repaired", 3, 4))
        assert rows("SELECT state, unrecoverable_count, unrecoverable_reason FROM gaps") == [
            {"state": state, "unrecoverable_count": count, "unrecoverable_reason": reason}
        ]


@pytest.mark.stack
@pytest.mark.parametrize("seed", range(5))
def test_the_databases_ledger_is_the_lakes(sink: PostgresSink, rows: Rows, seed: int) -> None:
    random = Random(seed)
    told = []
    for second in range(60):
        first = random.randrange(40)
        status = "gap" if second < 20 else random.choice(["repaired", "repaired", "unrecoverable"])
        told.append(gap(status, first, first + random.randrange(9), second, random.choice(["BTC-USDT", "ETH-USDT"])))
        sink.publish(second, feed_status=told[-1])
    expected = fold(pl.concat(told)).drop("unrecoverable_reason")
    names = ", ".join(expected.columns)
    assert rows(f"SELECT {names} FROM gaps ORDER BY venue, symbol, first_id") == expected.to_dicts()


def test_other_statuses_are_no_gaps() -> None:
    assert gap_rows(pl.concat([gap("heartbeat", 1, 2), gap("poll", 1, 2), gap("ended", 1, 2)])) == []
