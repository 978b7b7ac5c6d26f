"""Alerts on their way into the asset graph: each row of public.alerts becomes one materialization, exactly once.

The cursor tells what was reported. Should the daemon die between reporting and storing the cursor, the last
materialization's own position is newer than the cursor's, and counts instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import dagster as dg
import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from crypto_intel.contracts.serving import ALERTS
from crypto_intel.contracts.tables import BRONZE_NEWS, BRONZE_TRADES, SILVER_BARS_1M
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres

ALERT_KEY = dg.AssetKey(["alerts", "alert"])
ALERT_ID_TAG = "crypto_intel/alert_id"

OVERLAP = timedelta(minutes=10)
"""Alerts may be stored a little after a later one was (two batches, a retry): this far back is looked at again."""

MAX_ALERTS_A_TICK = 200


class AlertCursor(msgspec.Struct):
    """Position of the newest alert that was reported, and the ids reported within OVERLAP before it."""

    raised_at: datetime | None = None
    recent: dict[str, datetime] = {}


def new_alerts(
    postgres: Postgres, cursor: AlertCursor, instance: dg.DagsterInstance
) -> tuple[list[dict[str, Any]], AlertCursor]:
    """Alerts that no materialization tells of yet, oldest first, and the cursor behind them.

    Raises:
        NotConfigured, TransientError: PostgreSQL is not named, or does not answer.
    """
    since = cursor.raised_at - OVERLAP if cursor.raised_at else datetime(1970, 1, 1, tzinfo=UTC)
    names = sql.SQL(", ").join(sql.Identifier(name) for name in ALERTS.column_names)
    query = sql.SQL(
        "SELECT {} FROM public.alerts WHERE raised_at >= %s AND NOT alert_id = ANY(%s) "
        "ORDER BY raised_at, alert_id LIMIT %s"
    ).format(names)
    with postgres.connect() as connection, connection.cursor(row_factory=dict_row) as rows:
        found = rows.execute(query, (since, sorted(cursor.recent), MAX_ALERTS_A_TICK)).fetchall()
    reported = _reported_lately(instance) if found else set()
    return [row for row in found if row["alert_id"] not in reported], _advance(cursor, found)


def _advance(cursor: AlertCursor, found: list[dict[str, Any]]) -> AlertCursor:
    if not found:
        return cursor
    seen = {**cursor.recent, **{row["alert_id"]: row["raised_at"] for row in found}}
    newest = max(seen.values())
    return AlertCursor(newest, {key: at for key, at in seen.items() if at >= newest - OVERLAP})


def _reported_lately(instance: dg.DagsterInstance) -> set[str]:
    # Covers one tick whose cursor was lost.
    records = instance.fetch_materializations(ALERT_KEY, limit=MAX_ALERTS_A_TICK).records
    events = [record.asset_materialization for record in records]
    return {event.tags[ALERT_ID_TAG] for event in events if event and event.tags and ALERT_ID_TAG in event.tags}


PINNED = (BRONZE_TRADES, BRONZE_NEWS, SILVER_BARS_1M)
"""Tables whose versions are kept with an alert: reading them at these versions shows what was known then."""

_PIN = (
    "UPDATE public.alerts SET evidence = (evidence::jsonb || jsonb_build_object('tables', %s::jsonb))::text "
    "WHERE alert_id = ANY(%s) AND NOT evidence::jsonb ? 'tables'"
)


def pin(postgres: Postgres, lake: Lake, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Keep with new alerts which versions the tables have that they rest on: seconds after they were raised.

    Returns:
        Version by `layer.name` of the tables that are there.
    """
    opened = ((table, lake.open(table)) for table in PINNED)
    versions = {table.full_name: delta.version() for table, delta in opened if delta is not None}
    if rows and versions:
        with postgres.connect() as connection:
            pinned = msgspec.json.encode(versions).decode()
            connection.execute(_PIN, (pinned, [row["alert_id"] for row in rows]))
    return versions


def materialization(row: dict[str, Any], versions: Mapping[str, int] = MappingProxyType({})) -> dg.AssetMaterialization:
    """One alert as the UI shows it, with its evidence: rule, measure, threshold, window, coverage, bar, news, versions.

    Args:
        row: of public.alerts.
        versions: of the tables that it rests on.
    """
    numbers = {name: row[name] for name in ("value", "threshold", "coverage_pct") if row[name] is not None}
    texts = {name: row[name] for name in ("alert_id", "rule", "severity", "venue", "symbol", "unit", "source")}
    times = {name: dg.MetadataValue.timestamp(row[name]) for name in ("window_start", "window_end", "raised_at")}
    rests_on = {
        "evidence": dg.MetadataValue.json(msgspec.json.decode(row["evidence"])),
        "article_ids": dg.MetadataValue.json(row["article_ids"]),
        "table_versions": dg.MetadataValue.json(dict(versions)),
    }
    return dg.AssetMaterialization(
        ALERT_KEY,
        description=row["message"],
        metadata={**numbers, **texts, **times, **rests_on, "completeness": row["completeness"] or "unknown"},
        tags={ALERT_ID_TAG: row["alert_id"]},
    )
