"""Alerts on their way into the asset graph: each row of public.alerts becomes one materialization, exactly once.

Alerts are read in the order of their commits, so that one which is stored late, behind a database that was away or a
query that was slow, is told as any other. Should the daemon die between reporting and storing the cursor, the place of
the newest materialization counts instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import dagster as dg
import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from crypto_intel.contracts.serving import ALERTS
from crypto_intel.contracts.tables import BRONZE_NEWS, BRONZE_TRADES, SILVER_BARS_1M
from crypto_intel.core.hours import event_hour
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres

ALERT_KEY = dg.AssetKey(["alerts", "alert"])
ALERT_ID_TAG = "crypto_intel/alert_id"

MAX_ALERTS_A_TICK = 200

_BEHIND = sql.SQL(
    "SELECT {}, f.alert_seq FROM ops.alert_feed f JOIN public.alerts a USING (alert_id) "
    "WHERE f.alert_seq > %s ORDER BY f.alert_seq LIMIT {}"
).format(
    sql.SQL(", ").join(sql.SQL("a.{}").format(sql.Identifier(name)) for name in ALERTS.column_names), MAX_ALERTS_A_TICK
)
_REPORTED = "SELECT max(alert_seq) FROM ops.alert_feed WHERE alert_id = ANY(%s)"


class AlertCursor(msgspec.Struct):
    """The last alert, in the order of commits, that was reported."""

    alert_seq: int = 0


def new_alerts(
    postgres: Postgres, cursor: AlertCursor, instance: dg.DagsterInstance
) -> tuple[list[dict[str, Any]], AlertCursor]:
    """Alerts that no materialization tells of yet, in the order of their commits, and the cursor behind them.

    Raises:
        NotConfigured, TransientError: PostgreSQL is not named, or does not answer.
    """
    with postgres.connect() as connection, connection.cursor(row_factory=dict_row) as rows:
        found = rows.execute(_BEHIND, (cursor.alert_seq,)).fetchall()
        if not found:
            return [], cursor
        told = rows.execute(_REPORTED, (_reported_lately(instance),)).fetchone()
    reported = (told or {}).get("max") or 0
    return [row for row in found if row["alert_seq"] > reported], AlertCursor(found[-1]["alert_seq"])


def _reported_lately(instance: dg.DagsterInstance) -> list[str]:
    # Of one tick, whose cursor may be lost.
    records = instance.fetch_materializations(ALERT_KEY, limit=MAX_ALERTS_A_TICK).records
    events = [record.asset_materialization for record in records]
    return [event.tags[ALERT_ID_TAG] for event in events if event and event.tags and ALERT_ID_TAG in event.tags]


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
        partition=_hour(row["window_end"]),
        description=row["message"],
        metadata={**numbers, **texts, **times, **rests_on, "completeness": row["completeness"] or "unknown"},
        tags={ALERT_ID_TAG: row["alert_id"]},
    )


def _hour(window_end: datetime) -> str:
    # As alerts.verdicts has it: a window that ends with the hour is the hour's.
    return event_hour(window_end - timedelta(microseconds=1))
