"""From what was measured to what is said: latencies, ratios, voided rows, tables, the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crypto_intel_tests.benchmarks import report
from crypto_intel_tests.benchmarks.__main__ import arguments
from crypto_intel_tests.benchmarks.backlog import FLOOR, PRODUCT, rows_of
from crypto_intel_tests.benchmarks.growth import Case, expected_bytes
from crypto_intel_tests.benchmarks.latency import AlertSeen, Seen, alert_latencies, growth, latencies_of, quantiles
from crypto_intel_tests.benchmarks.measure import Cost
from crypto_intel_tests.benchmarks.paced import SYMBOLS, Jump, Load
from crypto_intel_tests.benchmarks.picture import draw

S = 1_000_000


def test_a_trade_is_as_late_as_the_first_look_that_shows_it_or_a_newer_one() -> None:
    seen = [Seen("a", 10 * S, 9 * S), Seen("a", 12 * S, 11 * S)]
    late = latencies_of(seen, from_us=0)
    assert late.min() == 1.0
    assert late.max() == pytest.approx(3.0, abs=0.02)
    assert np.median(late) == pytest.approx(2.0, abs=0.02)


def test_trades_of_the_warm_up_do_not_count() -> None:
    seen = [Seen("a", 100 * S, 1 * S), Seen("a", 101 * S, 50 * S), Seen("a", 102 * S, 101 * S)]
    assert latencies_of(seen, from_us=50 * S).max() == pytest.approx(52.0, abs=0.02)
    assert not latencies_of(seen, from_us=200 * S).size


def test_an_alert_belongs_to_the_last_jump_of_its_market_in_its_direction() -> None:
    jumps = [Jump("BTC-USDT", 10 * S, True), Jump("BTC-USDT", 90 * S, False), Jump("ETH-USDT", 20 * S, True)]
    alerts = [
        AlertSeen("BTC-USDT", 12 * S, True),
        AlertSeen("BTC-USDT", 80 * S, True),
        AlertSeen("BTC-USDT", 91 * S, False),
    ]
    assert alert_latencies(alerts, jumps).tolist() == [2.0, 1.0]


def test_quantiles_of_nothing_are_none() -> None:
    assert quantiles(np.zeros(0)) == {}
    assert quantiles(np.arange(101) / 1.0) == {"p50": 50.0, "p99": 99.0}


def test_growth_compares_the_end_with_the_beginning() -> None:
    assert growth(range(30), [5.0] * 30) == 1.0
    assert growth(range(30), [float(1 + at) for at in range(30)]) > 3


def cost(work_s: float, cpu_s: float, wrong: str = "") -> Cost:
    """A run that was ready after a second."""
    at_s, cpu_at = {"ready": 1.0, "done": 1.0 + work_s}, {"ready": 1.0, "done": cpu_s}
    return Cost("x", at_s=at_s, cpu_at=cpu_at, cpu_s=cpu_s, peak_mib=100, wrong=wrong)


def test_the_steady_rate_is_that_of_what_the_larger_size_has_more() -> None:
    costs = {
        1_000_000: {FLOOR: [cost(4, 5)], PRODUCT: [cost(16, 30)]},
        4_000_000: {FLOOR: [cost(16, 20)], PRODUCT: [cost(28, 60)]},
    }
    row = next(row for row in rows_of(costs) if row["name"] == PRODUCT and row["trades"] == 4_000_000)
    assert row["steady_per_s"] == 250_000
    assert row["work_ratio"] == 28 / 16
    assert row["steady_cpu_us"] == pytest.approx(10)


def test_a_wrong_run_voids_its_row_and_what_is_derived_from_it() -> None:
    costs = {
        1_000_000: {FLOOR: [cost(4, 5)], PRODUCT: [cost(16, 30), cost(15, 30, "bars: 1 lost")]},
        4_000_000: {FLOOR: [cost(16, 20)], PRODUCT: [cost(28, 60)]},
    }
    rows = {(row["name"], row["trades"]): row for row in rows_of(costs)}
    assert "work_s" not in rows[PRODUCT, 1_000_000]
    assert rows[PRODUCT, 1_000_000]["wrong"] == "bars: 1 lost"
    assert "steady_per_s" not in rows[PRODUCT, 4_000_000]


def test_the_bound_of_the_state_stops_growing_after_a_day() -> None:
    assert expected_bytes(Case(10, 60 * 24 * 7)) == expected_bytes(Case(10, 60 * 48))
    assert expected_bytes(Case(500, 60)) == 50 * expected_bytes(Case(10, 60))


def test_a_paced_load_sends_what_is_due_and_jumps_up_and_down_in_turn() -> None:
    load = Load("trades", 1_000)
    assert len(list(load.due(0.5, S))) == 500
    assert len(list(load.due(0.6, S))) == 100
    assert [load.jump(0, S).is_up, load.jump(len(SYMBOLS), S).is_up] == [True, False]


def test_tables_leave_out_empty_columns() -> None:
    text = report.markdown(report.BACKLOG, [{"name": "product", "trades": 1000, "work_s": 1.25, "wrong": ""}])
    assert text.splitlines() == ["| trades | who | work s |", "| --- | --- | --- |", "| 1,000 | product | 1.2 |"]


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(SystemExit):
        arguments(["speed"])


def test_a_picture_shows_what_was_measured_and_leaves_out_the_rest(tmp_path: Path) -> None:
    results: dict[str, Any] = {"date": "today", "machine": "2 cores"}
    draw(results, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    costs = {100_000: {FLOOR: [cost(4, 5)], PRODUCT: [cost(16, 30)]}}
    live = {"rate": 1_000, "postgres_p99_s": 2.0, "batches": {"live": {"series": [(0.0, 300, 0), (3.0, 310, 0)]}}}
    growing = {"name": "10 markets, 1 h", "cpu_us": 3.0, "state_kib": 40.0, "expected_kib": 50.0}
    draw({**results, "backlog": rows_of(costs), "live": [live], "growth": [growing]}, tmp_path / "all.png")
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
