"""Who is told of an alert, and when: routes, quiet hours, what was told shortly before, and tries after a failure.

What belongs here: the decisions, as functions of an alert, the routes and a time. What does not: where that is kept
(notifying.py) and how a channel is reached (resources/channels.py). Times are wall clock: people live by it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crypto_intel.contracts.rules import PLATFORM, SEVERITIES, QuietHours, Route, Severity

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
MAX_ATTEMPTS = 40
"""More than nine hours of tries."""

STALE_AFTER = timedelta(hours=1)
"""An alert that is found so long after it was raised is no news: a backlog after a restart floods nobody."""


@dataclass(frozen=True)
class Notice:
    """An alert is to be told to a channel."""

    channel: str
    route: str
    due_at: datetime
    again_after_s: int


def planned(
    alert: Mapping[str, Any], routes: Sequence[Route], channels: Collection[str], now: datetime
) -> list[Notice]:
    """To which channels an alert goes, each once: by the first route that names it.

    Args:
        alert: row of public.alerts.
        channels: those that there are.
        now: wall clock.
    """
    found: dict[str, Notice] = {}
    for route in routes:
        if _matches(route, alert):
            for channel in route.channels or sorted(channels):
                if channel in channels and channel not in found:
                    due = due_at(route.quiet_hours, alert["severity"], now)
                    found[channel] = Notice(channel, route.name, due, route.again_after_s)
    return list(found.values())


def _matches(route: Route, alert: Mapping[str, Any]) -> bool:
    is_severe = SEVERITIES.index(alert["severity"]) >= SEVERITIES.index(route.least_severity)
    is_named = not route.rules or alert["rule"] in route.rules
    return is_severe and is_named and route.covers(f"{alert['venue']}:{alert['symbol']}")


def due_at(quiet: QuietHours | None, severity: str, now: datetime) -> datetime:
    """When to tell it: now, or when the quiet hours end that hold back what is less than critical."""
    if quiet is None or severity == "critical":
        return now
    local = now.astimezone(ZoneInfo(quiet.zone))
    spans_midnight = quiet.end <= quiet.start
    clock = local.time()
    is_quiet = clock >= quiet.start or clock < quiet.end if spans_midnight else quiet.start <= clock < quiet.end
    if not is_quiet:
        return now
    day = local.date() + timedelta(days=1) if spans_midnight and clock >= quiet.start else local.date()
    return datetime.combine(day, quiet.end, local.tzinfo).astimezone(now.tzinfo)


def is_repetition(
    alert: Mapping[str, Any], told: Sequence[tuple[Severity, datetime]], again_after_s: int, now: datetime
) -> bool:
    """The same rule and symbol was told to the channel shortly before, and nothing as severe is new.

    Args:
        told: severity and time of what the channel was told of that rule and symbol.
        again_after_s: how long that counts.
    """
    since = now - timedelta(seconds=again_after_s)
    rank = SEVERITIES.index(alert["severity"])
    return any(at > since and SEVERITIES.index(severity) >= rank for severity, at in told)


def next_try(attempts: int, now: datetime) -> datetime | None:
    """When to try again after so many tries that failed; None: give up."""
    if attempts >= MAX_ATTEMPTS:
        return None
    doublings = max(0, min(attempts - 1, 10))
    return now + min(FIRST_PAUSE * int(2**doublings), LONGEST_PAUSE)


def title(alert: Mapping[str, Any], event: str) -> str:
    """A line for people."""
    where = "platform" if alert["venue"] == PLATFORM else f"{alert['symbol']} on {alert['venue']}"
    word = alert["severity"] if event == "raised" else _ending(alert)
    return f"[{word}] {alert['rule']}: {where}"


def _ending(alert: Mapping[str, Any]) -> str:
    return "withdrawn" if alert["verdict"] == "withdrawn" else "over"


def body(alert: Mapping[str, Any], event: str) -> str:
    """What happened, in lines."""
    return "\n".join(_lines(alert, event))


def _lines(alert: Mapping[str, Any], event: str) -> Iterator[str]:
    yield str(alert["message"])
    yield f"{alert['value']:g} {alert['unit']}, threshold {alert['threshold']:g} {alert['unit']}"
    yield f"window {_utc(alert['window_start'])} to {_utc(alert['window_end'])} UTC"
    if alert["completeness"]:
        share = "" if alert["coverage_pct"] is None else f", {alert['coverage_pct']:.1f} % of its trade ids"
        yield f"data {alert['completeness']}{share}"
    if event == "ended":
        yield f"{_ending(alert)} since {_utc(alert['resolved_at'])} UTC"
    yield f"alert {alert['alert_id']}"


def _utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
