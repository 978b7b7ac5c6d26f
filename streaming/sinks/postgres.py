"""PostgreSQL (and Supabase through its database URL): what the streams serve.

Guarantee: effectively once. One transaction a batch holds its rows, its alerts' outbox and a guard row
(query, epoch, batch_id); a batch that is repeated, after a crash too, finds its guard and writes nothing.
`epoch` names the checkpoint: a new checkpoint counts its batches from 0 again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec
import polars as pl
import psycopg
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from crypto_intel.contracts.events import GAP_STATUSES, Alert, encode
from streaming import failpoints
from streaming.errors import FatalError
from streaming.sinks.connection import PostgresConnection
from streaming.sinks.upsert import upsert_frame

__all__ = ["PostgresSink", "Upsert", "insert_alerts", "record_gaps", "refresh_market_enriched", "upsert_frame"]

KEPT_BATCHES = 1_000
"""Guards kept a checkpoint. Spark repeats the newest batch only; the rest is for people who look back."""

REFRESHED_AT_ONCE = 5_000
"""Windows a statement: under a second, so that a backlog of days stays within the statement timeout."""

"""Statuses of feeds that the ledger of gaps is made of."""

_STATUS_COLUMNS = ("venue", "symbol", "status", "first_id", "last_id", "received_at", "detail")
_ALERT_COLUMNS = (
    "alert_id, rule, severity, venue, symbol, window_start, window_end, raised_at, value, threshold, unit, message, "
    "coverage_pct, completeness, source, article_ids, evidence"
)
_INSERT_ALERT = f"""
WITH raised AS (
  INSERT INTO public.alerts ({_ALERT_COLUMNS})
  VALUES (%(alert_id)s, %(rule)s, %(severity)s, %(venue)s, %(symbol)s, %(window_start)s, %(window_end)s,
    %(raised_at)s, %(value)s, %(threshold)s, %(unit)s, %(message)s, %(coverage_pct)s, %(completeness)s, %(source)s,
    %(article_ids)s, %(evidence)s)
  ON CONFLICT (alert_id) DO NOTHING
  RETURNING alert_id
)
INSERT INTO ops.alert_outbox (alert_id, payload) SELECT alert_id, %(payload)s::jsonb FROM raised ON CONFLICT DO NOTHING
"""  # noqa: S608 - composed of constants


@dataclass(frozen=True)
class Upsert:
    """Rows for a served table: its columns (nullable ones may be left out), each key once.

    `only_new`: rows that are there stay as they are.
    """

    table: str
    frame: pl.DataFrame
    only_new: bool = False


class PostgresSink:
    """Where one streaming query publishes its batches. Used by one thread at a time; connects on first use.

    Args:
        dsn: libpq URI; never shown again.
        query: name of the streaming query.
        epoch: identity of its checkpoint.
    """

    def __init__(self, dsn: SecretStr, *, query: str, epoch: str) -> None:
        self._query = query
        self._epoch = epoch
        self._database = PostgresConnection(dsn, application=f"crypto-intel {query}")

    def __repr__(self) -> str:
        return f"PostgresSink(query={self._query!r}, epoch={self._epoch!r})"

    def publish(
        self,
        batch_id: int,
        upserts: Sequence[Upsert] = (),
        *,
        alerts: Sequence[Alert] = (),
        refresh_enriched: pl.DataFrame | None = None,
        known_at: datetime | None = None,
        feed_status: pl.DataFrame | None = None,
    ) -> bool:
        """Commit a batch, once.

        Args:
            batch_id: of the streaming query.
            upserts: rows by table.
            alerts: new ones enter table and outbox; an id that is known already changes nothing.
            refresh_enriched: venue, symbol, window_start of windows whose provisional enriched row may have changed.
            known_at: platform clock, for the enriched rows; required with `refresh_enriched`.
            feed_status: rows of bronze.feed_status, for the ledger of gaps.

        Returns:
            False if this batch was committed before; then nothing was written.

        Raises:
            RetryableError: PostgreSQL is away; repeat the same call.
            FatalError: the rows do not fit; repeating would not help.
        """
        with self._database.transaction() as connection:
            if not self._claim(connection, batch_id):
                return False
            for upsert in upserts:
                upsert_frame(connection, upsert.table, upsert.frame, only_new=upsert.only_new)
            insert_alerts(connection, alerts)
            if feed_status is not None:
                record_gaps(connection, feed_status)
            if refresh_enriched is not None:  # last: it holds a lock until the commit
                refresh_market_enriched(connection, refresh_enriched, known_at)
            failpoints.reach(f"{self._query}:transaction")
        return True

    def pending_alerts(self, limit: int = 500) -> list[tuple[str, Alert]]:
        """Alerts that Kafka has not acknowledged yet, oldest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT alert_id, payload::text FROM ops.alert_outbox WHERE published_at IS NULL "
                "ORDER BY created_at, alert_id LIMIT %s",
                (limit,),
            ).fetchall()
        return [(alert_id, msgspec.json.decode(payload, type=Alert)) for alert_id, payload in rows]

    def mark_published(self, ids: Sequence[str]) -> None:
        """Note that Kafka has acknowledged these alerts."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE ops.alert_outbox SET published_at = now() WHERE alert_id = ANY(%s) AND published_at IS NULL",
                (list(ids),),
            )

    def close(self) -> None:
        """Let the connection go."""
        self._database.close()

    def _claim(self, connection: psycopg.Connection, batch_id: int) -> bool:
        # A second process that claims the same batch waits here for the first one's commit or rollback.
        claimed = connection.execute(
            "INSERT INTO ops.sink_batches (query, epoch, batch_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (self._query, self._epoch, batch_id),
        ).rowcount
        if claimed and batch_id % 100 == 0:
            connection.execute(
                "DELETE FROM ops.sink_batches WHERE query = %s AND epoch = %s AND batch_id < %s",
                (self._query, self._epoch, batch_id - KEPT_BATCHES),
            )
        return bool(claimed)


def refresh_market_enriched(connection: psycopg.Connection, keys: pl.DataFrame, known_at: datetime | None) -> int:
    """Make the provisional enriched rows of these windows follow from bars, news and macro values in the database.

    Args:
        connection: of psycopg; the transaction that is open on it is joined.
        keys: venue, symbol, window_start.
        known_at: platform clock.

    Returns:
        How many rows are new or changed; final rows never are.
    """
    if keys.is_empty():
        return 0
    if known_at is None:
        raise FatalError("known_at is needed to refresh enriched rows")
    windows = keys.select("venue", "symbol", "window_start").unique()
    return sum(
        _call(connection, "SELECT public.refresh_market_enriched(%s, %s)", Jsonb(json_rows(part)), known_at)
        for part in windows.iter_slices(REFRESHED_AT_ONCE)
    )


def record_gaps(connection: psycopg.Connection, feed_status: pl.DataFrame) -> int:
    """Enter gaps, repairs and losses into the ledger of gaps; other statuses are left out.

    The ledger is a function of the set of rows told so far: their order and repetition do not matter.

    Args:
        connection: of psycopg; the transaction that is open on it is joined.
        feed_status: columns of bronze.feed_status (venue, symbol, status, first_id, last_id, received_at, detail).

    Returns:
        Of how many gaps more became known: of what came back, or never will.
    """
    rows = gap_rows(feed_status)
    return _call(connection, "SELECT public.record_gaps(%s)", Jsonb(rows)) if rows else 0


def gap_rows(feed_status: pl.DataFrame) -> list[dict[str, object]]:
    """The gaps, repairs and losses among feed status rows, as JSON values."""
    return json_rows(feed_status.filter(pl.col("status").is_in(GAP_STATUSES)).select(_STATUS_COLUMNS))


def json_rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Rows as JSON values: times as ISO 8601 in UTC, microseconds kept; times without a zone are UTC."""
    return [{name: json_value(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def json_value(value: object) -> object:
    """A value as JSON has it: a time as ISO 8601, without a zone taken as UTC; a date as ISO 8601."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def alert_row(alert: Alert) -> dict[str, object]:
    """The alert as a row of public.alerts, without its state, which people set."""
    row: dict[str, object] = msgspec.structs.asdict(alert)
    for name in ("window_start", "window_end", "raised_at"):
        row[name] = _time(row[name])
    row["article_ids"] = list(alert.article_ids)
    row["evidence"] = msgspec.json.encode(alert.evidence).decode()
    return row


def insert_alerts(connection: psycopg.Connection, alerts: Sequence[Alert]) -> None:
    """Enter alerts into their table and into the outbox of the alerts topic; ids that are known change nothing.

    Args:
        connection: of psycopg; the transaction that is open on it is joined.
        alerts: new ones.
    """
    rows = [{**alert_row(alert), "payload": encode(alert).decode()} for alert in alerts]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT_ALERT, rows)


def _call(connection: psycopg.Connection, statement: str, *parameters: object) -> int:
    row = connection.execute(statement, parameters).fetchone()
    return int(row[0]) if row else 0


def _time(microseconds: object) -> datetime:
    seconds, rest = divmod(int(microseconds), 1_000_000)  # type: ignore[call-overload]
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
