"""Alerts judged again on whole data, by the rule that raised them: confirmed, revised or withdrawn.

The judgement looks at what the rule looked at: trades up to the last one that it knew, with those that have come
since in between. So a value that differs, differs because of what was missing, and not because the minute went on.
What belongs here: the judgement. What does not: reading alerts and trades, and telling anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl

from crypto_intel.contracts.alerts import ALERT_VERDICTS
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import event_hour
from streaming.transforms import intervals
from streaming.transforms.bars import MINUTE_US, fold
from streaming.transforms.from_bronze import trade_events
from streaming.transforms.rules import Fired, Market, NewsItem, Spike, restated
from streaming.transforms.rules.market import SLICE_US, Coverage

SAME = 1e-9
"""Relative difference up to which a value is the same: sums are added in another order."""

MARGIN = timedelta(minutes=2)
"""Trades this long before what a rule looks at: the price before a piece of news, for one."""


LONGEST_GAP = timedelta(hours=1)


@dataclass(frozen=True)
class Verdict:
    """What whole data say of an alert; `verdict` is None where they can not say."""

    verdict: str | None
    value: float | None
    coverage: Coverage


class _By(msgspec.Struct):
    family: str
    about: str
    at: int


def reach(alert: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """From when to when trades are needed to judge an alert again: rows of public.alerts in, event time out."""
    evidence = msgspec.json.decode(alert["evidence"])
    by, values = evidence.get("rule", {}), evidence.get("values", {})
    begins = [alert["window_start"]]
    if "at" in by and "window_s" in by:
        begins.append(_time(by["at"]) - timedelta(seconds=by["window_s"]))
    if "first_id" in by:  # the missing trades were made before the one behind them, by which they were found
        begins.append(alert["window_start"] - LONGEST_GAP)
    if "baseline_start" in values:
        begins.append(_time(values["baseline_start"]))
    ends = [alert["window_end"]]
    if "window_start" in evidence.get("bar", {}):  # it knew trades of its minute behind the window
        ends.append(_time(evidence["bar"]["window_start"] + MINUTE_US))
    return min(begins) - MARGIN, max(ends)


def judge_again(alert: Mapping[str, Any], trades: pl.DataFrame, news: Sequence[NewsItem] = ()) -> Verdict:
    """Judge an alert again.

    Args:
        alert: row of public.alerts.
        trades: rows of bronze.trades of its market, one per trade id, within `reach`.
        news: the articles that it rests on.
    """
    evidence = msgspec.json.decode(alert["evidence"])
    market = _market(trades, evidence, news)
    coverage = _coverage(market, alert, evidence.get("rule", {}))
    rule = restated(evidence.get("rule", {}))
    if rule is None or coverage.missing or not market.slices:
        return Verdict(None, None, coverage)
    by = msgspec.convert(evidence["rule"], _By)
    at = by.at - by.at % (MINUTE_US if isinstance(rule, Spike) else SLICE_US)
    if not _is_here(market, evidence, at):
        return Verdict(None, None, coverage)
    found = next((fired for fired in rule.judge(market, at) if fired.about == by.about), None)
    return Verdict(_verdict(found, alert["value"]), found.value if found else None, coverage)


def _is_here(market: Market, evidence: Mapping[str, Any], at: int) -> bool:
    # The lake may be behind the stream that raised it: then nothing is said yet.
    last = evidence.get("bar", {}).get("last_trade_id")
    is_there = at in market.slices or at in market.minutes
    return is_there and (last is None or bool(intervals.missing(market.seen, last, last) == 0))


def _coverage(market: Market, alert: Mapping[str, Any], by: Mapping[str, Any]) -> Coverage:
    if "first_id" not in by:
        return market.coverage(_us(alert["window_start"]), _us(alert["window_end"]))
    first, last = by["first_id"], by["last_id"]
    missing = intervals.missing(market.seen, first, last)
    return Coverage(100 * (1 - missing / (last - first + 1)), missing, "partial" if missing else "repaired")


def _verdict(found: Fired | None, value: float) -> str:
    if found is None:
        return "withdrawn"
    return "confirmed" if abs(found.value - value) <= SAME * max(abs(found.value), abs(value)) else "revised"


def _market(trades: pl.DataFrame, evidence: Mapping[str, Any], news: Sequence[NewsItem]) -> Market:
    events = trade_events(trades.lazy()).collect()
    last = evidence.get("bar", {}).get("last_trade_id")
    known = events if last is None else events.filter(pl.col("trade_id") <= last)
    ids = events.filter(pl.col("trade_id") >= 0)["trade_id"].sort().to_numpy()
    minutes = fold(known)
    baseline = evidence.get("values", {}).get("baseline_start")
    return Market(
        slices=fold(known, SLICE_US),
        minutes=minutes,
        seen=intervals.from_ids(ids.astype(np.int64)),
        since=baseline if baseline is not None else min(minutes, default=0),
        silences=(),
        news=news,
        clock=int(events["event_time"].max() or 0),  # type: ignore[arg-type]
    )


def verdict_rows(
    judged: Sequence[tuple[Mapping[str, Any], Verdict]], *, hour: datetime, trades_version: int, judged_at: datetime
) -> pl.DataFrame:
    """Rows of alerts.verdicts: (row of public.alerts, what is said of it now)."""
    rows = [
        {
            **{name: alert[name] for name in ALERT_VERDICTS.column_names if name in alert},
            "verdict": said.verdict,
            "verdict_value": said.value,
            "verdict_coverage_pct": said.coverage.pct,
            "missing_ids": said.coverage.missing if said.coverage.pct is not None else None,
            "trades_version": trades_version,
            "judged_at": judged_at,
            "event_hour": event_hour(hour),
        }
        for alert, said in judged
    ]
    return conform(pl.DataFrame(rows, infer_schema_length=None), ALERT_VERDICTS).sort("window_end", "alert_id")


def _us(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp() * 1_000_000)


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
