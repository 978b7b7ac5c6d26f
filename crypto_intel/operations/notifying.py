"""Alerts on their way to people: planned once an alert and channel, sent, tried again, and shown.

Guarantee: at least once. A notice stands in ops.notices before it is sent, and is sent until a channel took it or
it is given up after hours; a crash between the sending and its note sends it once more.
What belongs here: reading and noting. What does not: who is told and when (core/notices.py), and how a channel is
reached (resources/channels.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from crypto_intel.contracts.rules import Route
from crypto_intel.contracts.serving import ALERTS
from crypto_intel.core.errors import CryptoIntelError
from crypto_intel.core.notices import STALE_AFTER, Notice, body, is_repetition, next_try, planned, title
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel.resources.channels import Channels
from crypto_intel.resources.postgres import Postgres

Connection = psycopg.Connection[Any]

MAX_PLANNED = 500
MAX_SENT = 50
BUDGET_S = 25.0
"""A tick ends behind it; what is still due is sent by the next. Dagster gives a tick 60 s."""

_NAMES = sql.SQL(", ").join(sql.SQL("a.{}").format(sql.Identifier(name)) for name in ALERTS.column_names)
_NEW = sql.SQL(
    "SELECT {}, f.alert_seq FROM ops.alert_feed f JOIN public.alerts a USING (alert_id) "
    "WHERE f.alert_seq > %s ORDER BY f.alert_seq LIMIT {}"
).format(_NAMES, MAX_PLANNED)
_ENDED = sql.SQL(
    "SELECT {}, n.channel, n.route FROM ops.notices n JOIN public.alerts a USING (alert_id) "
    "WHERE n.event = 'raised' AND n.state = 'sent' AND a.resolved_at IS NOT NULL AND NOT EXISTS "
    "(SELECT FROM ops.notices e WHERE (e.alert_id, e.channel) = (n.alert_id, n.channel) AND e.event = 'ended') "
    "ORDER BY a.resolved_at LIMIT {}"
).format(_NAMES, MAX_PLANNED)
_DUE = sql.SQL(
    "SELECT {}, n.channel, n.event, n.attempts FROM ops.notices n JOIN public.alerts a USING (alert_id) "
    "WHERE n.state = 'due' AND n.due_at <= %s ORDER BY n.due_at, n.alert_id LIMIT {}"
).format(_NAMES, MAX_SENT)
_PLAN = (
    "INSERT INTO ops.notices (alert_id, channel, event, route, state, due_at) VALUES (%s, %s, %s, %s, %s, %s) "
    "ON CONFLICT DO NOTHING"
)
_TOLD = (
    "SELECT a.severity, coalesce(n.sent_at, n.created_at) FROM ops.notices n JOIN public.alerts a USING (alert_id) "
    "WHERE n.channel = %s AND n.event = 'raised' AND n.state IN ('sent', 'due') AND a.rule = %s AND a.symbol = %s "
    "AND a.alert_id <> %s ORDER BY n.created_at DESC LIMIT 20"
)
_NOTE = (
    "UPDATE ops.notices SET state = %s, attempts = attempts + 1, last_error = %s, due_at = coalesce(%s, due_at), "
    "sent_at = %s WHERE alert_id = %s AND channel = %s AND event = %s"
)


class NoticeCursor(msgspec.Struct):
    """The last alert, in the order of commits, that was looked at."""

    alert_seq: int = 0


def plan(
    connection: Connection,
    routes: Sequence[Route],
    channels: Sequence[str],
    cursor: NoticeCursor,
    *,
    platform: datetime | None = None,
) -> NoticeCursor:
    """Plan the notices of alerts behind the cursor, and of alerts that have ended since they were told.

    Args:
        platform: platform clock; an alert raised long before it is no news.
    """
    now = datetime.now(UTC)
    for alert in _rows(connection, _NEW, cursor.alert_seq):
        is_stale = platform is not None and alert["raised_at"] < platform - STALE_AFTER
        for notice in planned(alert, routes, channels, now):
            state = "stale" if is_stale else _state(connection, alert, notice)
            row = (alert["alert_id"], notice.channel, "raised", notice.route, state, notice.due_at)
            connection.execute(_PLAN, row)
        cursor = NoticeCursor(alert["alert_seq"])
    for alert in _rows(connection, _ENDED):
        connection.execute(_PLAN, (alert["alert_id"], alert["channel"], "ended", alert["route"], "due", now))
    return cursor


def _state(connection: Connection, alert: Mapping[str, Any], notice: Notice) -> str:
    told = connection.execute(_TOLD, (notice.channel, alert["rule"], alert["symbol"], alert["alert_id"])).fetchall()
    return "repeated" if is_repetition(alert, told, notice.again_after_s, datetime.now(UTC)) else "due"


def send_due(postgres: Postgres, channels: Channels) -> Counter[tuple[str, str]]:
    """Send what is due; how many came to which state, by (state, channel).

    Each is noted by itself, so that a crash repeats one at most.
    """
    with postgres.connect() as connection:
        due = _rows(connection, _DUE, datetime.now(UTC))
    done: Counter[tuple[str, str]] = Counter()
    deadline = time.monotonic() + BUDGET_S
    for notice in due:
        if time.monotonic() > deadline:
            break
        done[_send(postgres, channels, notice), notice["channel"]] += 1
    return done


def _send(postgres: Postgres, channels: Channels, notice: Mapping[str, Any]) -> str:
    event = notice["event"]
    error = ""
    try:
        level = notice["severity"] if event == "raised" else "ended"
        channels.send(notice["channel"], title(notice, event), body(notice, event), level)
    except CryptoIntelError as failure:
        error = str(failure) or type(failure).__name__
    now = datetime.now(UTC)
    again_at = next_try(notice["attempts"] + 1, now) if error else None
    state = "sent" if not error else "due" if again_at else "failed"
    place = (notice["alert_id"], notice["channel"], event)
    with postgres.connect() as connection:
        connection.execute(_NOTE, (state, error, again_at, None if error else now, *place))
    return "waiting after a failure" if error and again_at else state


def observation(done: Mapping[tuple[str, str], int]) -> dg.AssetObservation:
    """What a tick sent and what it did not, on the alerts' asset."""
    figures = {f"{channel}: {state}": count for (state, channel), count in sorted(done.items())}
    return dg.AssetObservation(ALERT_KEY, description="notices", metadata=figures)


def troubled_channels(connection: Connection) -> list[dict[str, Any]]:
    """Channels whose newest notice is not sent: channel, waiting, failed, attempts, last_error, since."""
    query = sql.SQL(
        "SELECT channel, count(*) FILTER (WHERE state = 'due') AS waiting, "
        "count(*) FILTER (WHERE state = 'failed') AS failed, max(attempts) AS attempts, "
        "(array_agg(last_error ORDER BY created_at DESC))[1] AS last_error, min(created_at) AS since "
        "FROM ops.notices WHERE attempts > 0 AND state IN ('due', 'failed') "
        "AND created_at > now() - interval '1 day' GROUP BY channel ORDER BY channel"
    )
    return _rows(connection, query)


def _rows(connection: Connection, query: sql.SQL | sql.Composed, *parameters: object) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()
