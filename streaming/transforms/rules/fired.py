"""What a rule says when it fires."""

from __future__ import annotations

import hashlib

import msgspec

from crypto_intel.contracts.rules import Severity

Figures = dict[str, float | int | str | None]


class Fired(msgspec.Struct, kw_only=True):
    """A rule that fired on a market. Times are microseconds since 1970-01-01 UTC.

    Attributes:
        rule: its name.
        about: what cool-down counts by within the rule, e.g. the direction.
        anchor: what tells this alert from others of its rule and market: a function of the history, not of batches.
        at: when it fired (event time); `window_start` and `window_end` bound what it looked at.
        text: for people, without the market's name.
        first_id, last_id: trades that it rests on; None for venues without ids.
        coverage_pct, completeness: of the window, as known when it fired.
        article_ids: news that it rests on.
        bar: the minute in which it fired, so far.
        values: what was compared.
        by: the rule as it was, and what tells this time that it fired from others: enough to judge it again.
    """

    rule: str
    about: str
    anchor: str
    at: int
    window_start: int
    window_end: int
    value: float
    threshold: float
    unit: str
    text: str
    severity: Severity = "warning"
    coverage_pct: float | None = None
    completeness: str | None = None
    article_ids: list[str] = []
    bar: Figures = {}
    values: Figures = {}
    by: Figures = {}


def alert_id(market: str, fired: Fired) -> str:
    """The alert's id: the same whenever, and in whatever batches, the same history is looked at."""
    text = f"{fired.rule}|{market}|{fired.about}|{fired.anchor}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def severity_of(value: float, threshold: float) -> Severity:
    """Twice the threshold is critical."""
    return "critical" if abs(value) >= 2 * abs(threshold) else "warning"
