"""Guarantee: rows of the lake become rows of a served PostgreSQL table in one transaction, all or none, any number of
times: upserts on the contract's key. What the database's own triggers keep (a final row is never overwritten by a
provisional one, a revision grows only when something changed) holds for these writes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl
import psycopg
from psycopg import sql

from crypto_intel.contracts.serving import ServedTable
from crypto_intel.core.errors import TransientError
from crypto_intel.core.frames import UTC_US
from crypto_intel.resources.postgres import Postgres

RETRIES = 6
RETRY_AFTER_S = 10
"""A database that restarts is back within a minute; one that stays away fails the run, which then says so."""

NOT_CONTENT = ("revision", "known_at", "fetched_at")
"""Columns that say when something was learned and not what; agreement is about the rest."""


@dataclass(frozen=True)
class Published:
    """What an upsert did: rows given, rows new or changed, and how many of the given rows the table now holds equal."""

    given: int
    changed: int
    agreeing: int

    @property
    def agrees(self) -> bool:
        """Every row given stands in the table as it was given."""
        return self.given == self.agreeing


def upsert(connection: psycopg.Connection[Any], table: ServedTable, rows: pl.DataFrame) -> Published:
    """Upsert rows into a served table and compare the table with them, within the connection's transaction.

    Args:
        rows: columns of the table, at least; one row per key.
    """
    with connection.cursor() as cursor:
        _stage(cursor, table, rows)
        cursor.execute(_upsert_sql(table))
        changed = cursor.rowcount
        agreeing = _agreeing(cursor, table)
        cursor.execute("DROP TABLE stage")
    return Published(given=rows.height, changed=changed, agreeing=agreeing)


def _agreeing(cursor: psycopg.Cursor[Any], table: ServedTable) -> int:
    counted = cursor.execute(_agreement_sql(table)).fetchone()
    return int(counted[0]) if counted else 0


def _stage(cursor: psycopg.Cursor[Any], table: ServedTable, rows: pl.DataFrame) -> None:
    like = sql.SQL("CREATE TEMP TABLE stage (LIKE public.{}) ON COMMIT DROP")
    cursor.execute(like.format(sql.Identifier(table.name)))
    with cursor.copy(sql.SQL("COPY stage ({}) FROM STDIN").format(_names(table.column_names))) as copy:
        for row in rows.select(table.column_names).iter_rows():
            copy.write_row(row)


def publish_rows(postgres: Postgres, table: ServedTable, rows: pl.LazyFrame) -> dg.MaterializeResult[Any]:
    """Upsert rows into a served table, and say how many changed it and whether it agrees with the lake.

    Raises:
        dagster.RetryRequested: the database was away or busy; the step repeats, a few times.
    """
    frame = rows.collect()
    try:
        with postgres.connect() as connection:
            done = upsert(connection, table, frame)
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    figures = {"dagster/row_count": done.given, "rows_changed": done.changed, "rows_agreeing": done.agreeing}
    return dg.MaterializeResult(metadata={**figures, "agrees_with_lake": done.agrees})


def publish_changed(
    postgres: Postgres, table: ServedTable, rows: pl.LazyFrame, *, by: str, changed_at: str
) -> dg.MaterializeResult[Any]:
    """Upsert those groups of rows whose count or newest change is not the lake's, and say whether all agree then.

    Args:
        rows: all rows of the table in the lake; they are only ever added, or changed together with an added one.
        by: column that groups them.
        changed_at: column whose greatest value tells a group's newest change.

    Raises:
        dagster.RetryRequested: the database was away or busy; the step repeats, a few times.
    """
    facts = rows.group_by(by).agg(rows=pl.len().cast(pl.Int64), newest=pl.col(changed_at).max()).collect()
    try:
        with postgres.connect() as connection:
            stale = facts.join(_groups(connection, table, by, changed_at), on=facts.columns, how="anti")[by].to_list()
            done = upsert(connection, table, rows.filter(pl.col(by).is_in(stale)).collect())
            agreeing = facts.join(_groups(connection, table, by, changed_at), on=facts.columns, how="semi").height
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    agrees = done.agrees and agreeing == facts.height
    figures = {"rows_changed": done.changed, "groups_published": len(stale), "agrees_with_lake": agrees}
    return dg.MaterializeResult(metadata={"dagster/row_count": int(facts["rows"].sum()), **figures})


def _groups(connection: psycopg.Connection[Any], table: ServedTable, by: str, changed_at: str) -> pl.DataFrame:
    query = sql.SQL("SELECT {by}, count(*), max({changed_at}) FROM public.{table} GROUP BY {by}").format(
        by=sql.Identifier(by), changed_at=sql.Identifier(changed_at), table=sql.Identifier(table.name)
    )
    schema: dict[str, Any] = {by: pl.String, "rows": pl.Int64, "newest": UTC_US}
    return pl.DataFrame(connection.execute(query).fetchall(), schema=schema, orient="row")


def differing_rows(
    connection: psycopg.Connection[Any], table: ServedTable, rows: pl.DataFrame, start: datetime, end: datetime
) -> pl.DataFrame:
    """Keys of rows in [start, end) of a served table's time that are not those of the lake, with what is wrong.

    Args:
        rows: of the lake, all of that time.
    """
    key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
    with connection.cursor() as cursor:
        _stage(cursor, table, rows)
        found = cursor.execute(_difference_sql(table, key), (start, end)).fetchall()
        cursor.execute("DROP TABLE stage")
    schema: dict[str, Any] = dict.fromkeys((*table.key, "fault"), pl.String)
    return pl.DataFrame([tuple(map(str, row)) for row in found], schema=schema, orient="row")


def _difference_sql(table: ServedTable, key: sql.Composed) -> sql.Composed:
    content = [name for name in table.column_names if name not in (*NOT_CONTENT, *table.key)]
    return sql.SQL(
        "SELECT {key}, CASE WHEN s IS NULL THEN 'not in the lake' WHEN t IS NULL THEN 'not served' ELSE 'differs' END "
        "FROM (SELECT * FROM public.{table} WHERE {time} >= %s AND {time} < %s) AS t "
        "FULL JOIN stage AS s USING ({key}) "
        "WHERE s IS NULL OR t IS NULL OR ({new}) IS DISTINCT FROM ({old}) ORDER BY {key}"
    ).format(
        table=sql.Identifier(table.name),
        time=sql.Identifier(table.time_column),
        key=key,
        new=_names(content, "s"),
        old=_names(content, "t"),
    )


_SPANS = """
UPDATE public.gaps AS g SET span_start = s.span_start, span_end = s.span_end
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
  AS s(venue, symbol, first_id, last_id, span_start, span_end)
WHERE (g.venue, g.symbol, g.first_id, g.last_id) = (s.venue, s.symbol, s.first_id, s.last_id)
  AND (g.span_start, g.span_end) IS DISTINCT FROM (s.span_start, s.span_end)
"""


def publish_spans(postgres: Postgres, ledger: pl.LazyFrame) -> dg.MaterializeResult[Any]:
    """Bring the event times around gaps into public.gaps, and nothing else of the ledger.

    Args:
        ledger: rows of silver.gaps; those that public.gaps does not have in this length are left out.

    Raises:
        dagster.RetryRequested: the database was away or busy; the step repeats, a few times.
    """
    columns = ["venue", "symbol", "first_id", "last_id", "span_start", "span_end"]
    known = ledger.filter(pl.any_horizontal(pl.col("span_start", "span_end").is_not_null())).select(columns).collect()
    try:
        with postgres.connect() as connection:
            changed = connection.execute(_SPANS, [known[name].to_list() for name in columns]).rowcount
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    return dg.MaterializeResult(metadata={"dagster/row_count": known.height, "rows_changed": changed})


_MOODS = """
UPDATE public.articles AS a SET sentiment = s.sentiment
FROM unnest(%s::text[], %s::double precision[]) AS s(article_id, sentiment)
WHERE a.article_id = s.article_id AND a.sentiment IS DISTINCT FROM s.sentiment
"""


def publish_moods(postgres: Postgres, articles: pl.LazyFrame) -> dg.MaterializeResult[Any]:
    """Bring the mood of articles into public.articles, and nothing else of them: the stream brought them.

    Args:
        articles: rows of silver.news; those without a mood are left out.

    Raises:
        dagster.RetryRequested: the database was away or busy; the step repeats, a few times.
    """
    mood = pl.coalesce("sentiment_told", "sentiment").alias("sentiment")  # a source's own goes before ours
    scored = articles.select("article_id", mood).drop_nulls().collect()
    try:
        with postgres.connect() as connection:
            changed = set_moods(connection, scored)
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    return dg.MaterializeResult(metadata={"dagster/row_count": scored.height, "rows_changed": changed})


def set_moods(connection: psycopg.Connection[Any], moods: pl.DataFrame) -> int:
    """Set the sentiment of articles that public.articles has, within the connection's transaction; how many changed.

    Args:
        moods: article_id, sentiment; a row an article, none of them null.
    """
    values = (moods["article_id"].to_list(), moods["sentiment"].to_list())
    return connection.execute(_MOODS, values).rowcount


def unknown_articles(connection: psycopg.Connection[Any], article_ids: list[str]) -> int:
    """How many of these articles public.articles does not have yet."""
    query = "SELECT count(*) FROM public.articles WHERE article_id = ANY(%s)"
    found = connection.execute(query, (article_ids,)).fetchone()
    return len(article_ids) - (found[0] if found else 0)


def agreeing_rows(connection: psycopg.Connection[Any], table: ServedTable, rows: pl.DataFrame) -> int:
    """How many rows the table holds as they are given, but for when they were known."""
    with connection.cursor() as cursor:
        _stage(cursor, table, rows)
        agreeing = _agreeing(cursor, table)
        cursor.execute("DROP TABLE stage")
    return agreeing


def _names(names: list[str], prefix: str = "") -> sql.Composed:
    parts = [sql.Identifier(prefix, name) if prefix else sql.Identifier(name) for name in names]
    return sql.SQL(", ").join(parts)


def _upsert_sql(table: ServedTable) -> sql.Composed:
    others = [name for name in table.column_names if name not in table.key]
    content = [name for name in others if name not in NOT_CONTENT]
    updates = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others]
    return sql.SQL(
        "INSERT INTO public.{table} AS t ({names}) SELECT {names} FROM stage ORDER BY {key} "
        "ON CONFLICT ({key}) DO UPDATE SET {updates} WHERE ({old}) IS DISTINCT FROM ({new})"
    ).format(
        table=sql.Identifier(table.name),
        names=_names(table.column_names),
        key=_names(list(table.key)),
        updates=sql.SQL(", ").join(updates),
        old=_names(content, "t"),
        new=_names(content, "excluded"),
    )


def _agreement_sql(table: ServedTable) -> sql.Composed:
    content = [name for name in table.column_names if name not in (*NOT_CONTENT, *table.key)]
    return sql.SQL(
        "SELECT count(*) FROM stage JOIN public.{table} AS t USING ({key}) WHERE ({new}) IS NOT DISTINCT FROM ({old})"
    ).format(
        table=sql.Identifier(table.name),
        key=_names(list(table.key)),
        new=_names(content, "stage"),
        old=_names(content, "t"),
    )
