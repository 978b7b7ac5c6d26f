"""How good each rule was on a day: how often it fired, what whole data and people say of it, and how early it was.

What belongs here: the figures. What does not: reading alerts, judgements and bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from crypto_intel.contracts.alerts import ALERT_REPORT, VERDICTS
from crypto_intel.contracts.rules import INCIDENT
from crypto_intel.core.frames import conform, empty_frame

AHEAD = timedelta(minutes=30)
"""How long behind an alert its move is followed."""

_MARKET = ("venue", "symbol")


def alert_report(day: str, alerts: pl.DataFrame, judgements: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Rows of alerts.report.

    Args:
        day: partition key.
        alerts: rows of alerts.verdicts of the day.
        judgements: alert_id, right, wrong: how many people said so.
        bars: rows of gold.bars_1m of the day and AHEAD behind it.
    """
    if alerts.is_empty():
        return empty_frame(ALERT_REPORT)
    told = alerts.join(judgements, on="alert_id", how="left").with_columns(
        by_people=(pl.col("right").fill_null(0) - pl.col("wrong").fill_null(0)).sign()
    )
    after = pl.DataFrame(
        [_after(alert, bars) for alert in told.iter_rows(named=True)],
        schema={"lead_s": pl.Float64, "move_after_pct": pl.Float64},
    )
    rated = pl.concat([told, after], how="horizontal").with_columns(is_right=_is_right())
    rows = rated.group_by("rule").agg(
        alerts=pl.len(),
        **{verdict: (pl.col("verdict") == verdict).sum() for verdict in VERDICTS},
        judged_right=(pl.col("by_people") > 0).sum(),
        judged_wrong=(pl.col("by_people") < 0).sum(),
        precision_pct=100 * pl.col("is_right").mean(),
        delay_s_median=(pl.col("raised_at") - pl.col("window_end")).dt.total_milliseconds().median() / 1_000,
        lead_s_median=pl.col("lead_s").median(),
        move_after_pct_median=pl.col("move_after_pct").median(),
    )
    return conform(rows.with_columns(event_day=pl.lit(day)), ALERT_REPORT).sort("rule")


def _is_right() -> pl.Expr:
    # People go before data; a data incident is right unless people say otherwise, so data say nothing of it.
    by_data = pl.when(pl.col("rule") == INCIDENT).then(None).otherwise(pl.col("verdict") != "withdrawn")
    return pl.when(pl.col("by_people") != 0).then(pl.col("by_people") > 0).otherwise(by_data)


def _after(alert: Mapping[str, Any], bars: pl.DataFrame) -> dict[str, float | None]:
    # How long until the extreme price in the alert's direction, and how far that was.
    nothing: dict[str, float | None] = {"lead_s": None, "move_after_pct": None}
    if alert["unit"] != "pct" or alert["rule"] == INCIDENT:
        return nothing
    own = bars.filter(*(pl.col(name) == alert[name] for name in _MARKET)).sort("window_start")
    raised_at = alert["raised_at"]
    before = own.filter(pl.col("window_start") <= raised_at)["close"]
    ahead = own.filter(pl.col("window_start") > raised_at, pl.col("window_start") <= raised_at + AHEAD)
    if before.is_empty() or ahead.is_empty():
        return nothing
    is_up = alert["value"] > 0
    at = ahead["high"].arg_max() if is_up else ahead["low"].arg_min()
    extreme = ahead.row(int(at or 0), named=True)
    move_pct = 100 * (extreme["high" if is_up else "low"] / before[-1] - 1)
    lead_s = (extreme["window_start"] - raised_at).total_seconds()
    return {"lead_s": lead_s, "move_after_pct": move_pct if is_up else -move_pct}
