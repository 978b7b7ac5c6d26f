"""Figures and tables say what the rows say: short hours are not red, failed checks come first, hits stand out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from crypto_intel.serving.dashboard import charts
from crypto_intel.serving.dashboard.elsewhere import frame_of

HOUR = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _hour(number: int, complete: int, bars: int) -> dict[str, Any]:
    return {
        "venue": "binance", "symbol": "BTC-USDT", "hour": HOUR + timedelta(hours=number), "bars": bars,
        "complete": complete, "repaired": 0, "quiet": 0, "partial": bars - complete, "unrecoverable": 0,
        "coverage_pct": 100.0, "reason": "<b>ids</b>" if bars > complete else "",
    }  # fmt: skip


def test_an_hour_is_judged_by_the_minutes_that_it_could_have() -> None:
    known = pl.DataFrame(
        {
            "venue": ["binance"],
            "symbol": ["BTC-USDT"],
            "first_bar": [HOUR + timedelta(minutes=50)],
            "last_bar": [HOUR + timedelta(hours=2, minutes=4)],
        }
    )
    hours = pl.DataFrame([_hour(0, 10, 10), _hour(1, 30, 60), _hour(2, 4, 5)])
    (heat,) = charts.completeness(hours, known).data
    assert [list(row) for row in heat.z] == [[100.0, 50.0, 80.0]]
    assert list(heat.x) == ["Nov 20 12:00", "Nov 20 13:00", "Nov 20 14:00"]
    assert "<b>" not in str(heat.text)


def test_moves_beyond_the_threshold_stand_out() -> None:
    history = pl.DataFrame({"window_start": [HOUR, HOUR, HOUR], "return_pct": [0.7, -0.6, 0.59]})
    (bars,) = charts.moves(history, 0.6).data
    assert list(bars.marker.color) == [charts.UP, charts.DOWN, charts.MUTED]


def _check(name: str, success: bool | None, at: float = 0.0) -> dict[str, Any]:
    verdict = None if success is None else {"success": success, "severity": "ERROR", "description": None}
    return {
        "name": name,
        "executionForLatestMaterialization": {"timestamp": at, "partition": "p", "evaluation": verdict},
    }


def test_failed_checks_come_first_and_those_that_never_ran_are_left_out() -> None:
    nodes = [
        {"assetKey": {"path": ["gold", "bars_1m"]}, "assetChecksOrError": {"checks": [
            _check("old", True, 1.0), _check("new", True, 2.0), _check("bad", False), _check("running", None),
            {"name": "never", "executionForLatestMaterialization": None},
        ]}},
        {"assetKey": {"path": ["other"]}, "assetChecksOrError": {}},
    ]  # fmt: skip
    found = frame_of(nodes)
    assert found["check"].to_list() == ["bad", "new", "old"]
    assert found["table"].unique().to_list() == ["gold/bars_1m"]
