"""Precision by people and by data, delay, and lead until the move's extreme."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from crypto_intel.core.alert_report import alert_report
from crypto_intel_tests.crypto_intel.lakes import HOUR

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
DAY = "2024-08-08"
PEOPLE = {"alert_id": pl.String, "right": pl.Int64, "wrong": pl.Int64}


def alert(alert_id: str, **other: Any) -> dict[str, Any]:
    """A row of alerts.verdicts."""
    row = {"alert_id": alert_id, "rule": "price_move", "venue": "binance", "symbol": "BTC-USDT", "unit": "pct",
           "window_end": HOUR, "raised_at": HOUR + 2 * SECOND, "value": 1.0, "verdict": "confirmed"}  # fmt: skip
    return {**row, **other}


def bars(*closes: float) -> pl.DataFrame:
    """A bar a minute."""
    rows = [
        {"venue": "binance", "symbol": "BTC-USDT", "window_start": HOUR + n * MINUTE, "high": close + 1,
         "low": close - 1, "close": close} for n, close in enumerate(closes)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def report(*alerts: dict[str, Any], people: tuple[tuple[str, int, int], ...] = ()) -> dict[str, dict[str, Any]]:
    """By rule."""
    judged = pl.DataFrame(people, schema=PEOPLE, orient="row")
    found = alert_report(DAY, pl.DataFrame(alerts), judged, bars(100, 101, 109, 104))
    return {row["rule"]: row for row in found.iter_rows(named=True)}


def test_people_go_before_data() -> None:
    alerts = [alert("a"), alert("b", verdict="withdrawn"), alert("c", verdict="revised"), alert("d", verdict=None)]
    found = report(*alerts, people=(("a", 0, 2), ("b", 3, 1)))["price_move"]
    assert [found[name] for name in ("alerts", "confirmed", "revised", "withdrawn")] == [4, 1, 1, 1]
    assert (found["judged_right"], found["judged_wrong"]) == (1, 1)
    assert found["precision_pct"] == pytest.approx(100 * 2 / 3)  # b by people, c by data; not a; nothing is known of d


def test_delay_and_lead_are_measured_from_the_alert() -> None:
    up = report(alert("a"))["price_move"]
    assert (up["delay_s_median"], up["lead_s_median"]) == (2, 118)
    assert up["move_after_pct_median"] == pytest.approx(10)
    down = report(alert("a", value=-1.0))["price_move"]
    assert (down["lead_s_median"], down["move_after_pct_median"]) == (58, pytest.approx(0))


def test_rules_without_a_direction_have_no_lead_and_incidents_no_precision_of_their_own() -> None:
    found = report(alert("a", rule="volume_spike", unit="times"), alert("b", rule="data_incident", verdict="confirmed"))
    assert found["volume_spike"]["lead_s_median"] is None
    assert (found["data_incident"]["lead_s_median"], found["data_incident"]["precision_pct"]) == (None, None)


def test_a_day_without_alerts_has_no_rows() -> None:
    assert alert_report(DAY, pl.DataFrame(), pl.DataFrame(schema=PEOPLE), bars(1)).is_empty()
