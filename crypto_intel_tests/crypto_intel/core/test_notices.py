"""Who is told and when: routes, quiet hours, repetitions, tries."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from crypto_intel.contracts.rules import QuietHours, Route
from crypto_intel.core.notices import MAX_ATTEMPTS, body, due_at, is_repetition, next_try, planned, title

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
NIGHT = QuietHours(start=time(22), end=time(7), zone="Europe/Berlin")


def alert(**other: Any) -> dict[str, Any]:
    """A row of public.alerts."""
    row = {
        "alert_id": "a1", "rule": "price_move", "severity": "warning", "venue": "binance", "symbol": "BTC-USDT",
        "value": 1.25, "threshold": 0.6, "unit": "pct", "message": "BTC-USDT rose", "window_start": NOW,
        "window_end": NOW + timedelta(minutes=5), "coverage_pct": 100.0, "completeness": "complete", "verdict": None,
        "resolved_at": None,
    }  # fmt: skip
    return {**row, **other}


def told(*routes: Route, **other: Any) -> list[tuple[str, str]]:
    """(channel, route) of where an alert goes."""
    return [(notice.channel, notice.route) for notice in planned(alert(**other), routes, ["desk", "phone"], NOW)]


def test_a_route_without_names_tells_every_channel() -> None:
    assert told(Route(name="all")) == [("desk", "all"), ("phone", "all")]


def test_a_route_takes_the_severities_rules_and_markets_that_it_names() -> None:
    route = Route(name="r", channels=("desk",), least_severity="critical", rules=("price_move",), markets=("*:BTC-*",))
    assert told(route, severity="critical") == [("desk", "r")]
    assert told(route) == told(route, severity="critical", rule="news_move") == []
    assert told(route, severity="critical", symbol="ETH-USDT") == []


def test_a_channel_is_told_once_by_the_first_route_that_names_it() -> None:
    first = Route(name="first", channels=("desk",))
    assert told(first, Route(name="second")) == [("desk", "first"), ("phone", "second")]


def test_a_channel_that_is_not_set_is_left_out() -> None:
    assert told(Route(name="r", channels=("nobody",))) == []


def test_in_quiet_hours_what_is_not_critical_waits_for_their_end() -> None:
    evening, morning = datetime(2026, 1, 15, 22, tzinfo=UTC), datetime(2026, 1, 16, 5, tzinfo=UTC)  # 23:00, 06:00
    ends = datetime(2026, 1, 16, 6, tzinfo=UTC)
    assert due_at(NIGHT, "warning", evening) == due_at(NIGHT, "warning", morning) == ends
    assert due_at(NIGHT, "critical", evening) == evening
    assert due_at(NIGHT, "warning", NOW) == NOW
    assert due_at(None, "info", evening) == evening


def test_quiet_hours_of_one_day_end_that_day() -> None:
    lunch = QuietHours(start=time(11), end=time(13, 30))
    assert due_at(lunch, "warning", NOW) == NOW + timedelta(minutes=90)


def test_the_same_rule_and_symbol_is_told_again_after_a_while_or_when_it_gets_worse() -> None:
    minute_ago = NOW - timedelta(minutes=1)
    assert is_repetition(alert(), [("warning", minute_ago)], 300, NOW)
    assert is_repetition(alert(), [("critical", minute_ago)], 300, NOW)
    assert not is_repetition(alert(severity="critical"), [("warning", minute_ago)], 300, NOW)
    assert not is_repetition(alert(), [("warning", NOW - timedelta(minutes=6))], 300, NOW)
    assert not is_repetition(alert(), [], 300, NOW)


def test_tries_get_rarer_and_end() -> None:
    pauses = [(at - NOW).total_seconds() for n in (1, 2, 3, 9) if (at := next_try(n, NOW))]
    assert pauses == [15, 30, 60, 900]
    assert next_try(MAX_ATTEMPTS, NOW) is None


def test_people_read_what_happened_and_how_whole_the_data_are() -> None:
    assert title(alert(), "raised") == "[warning] price_move: BTC-USDT on binance"
    assert body(alert(), "raised").splitlines() == [
        "BTC-USDT rose",
        "1.25 pct, threshold 0.6 pct",
        "window 2026-01-15 12:00:00 to 2026-01-15 12:05:00 UTC",
        "data complete, 100.0 % of its trade ids",
        "alert a1",
    ]
    ended = alert(verdict="withdrawn", resolved_at=NOW, venue="platform", symbol="*", completeness=None)
    assert title(ended, "ended") == "[withdrawn] price_move: platform"
    assert "withdrawn since 2026-01-15 12:00:00 UTC" in body(ended, "ended")
