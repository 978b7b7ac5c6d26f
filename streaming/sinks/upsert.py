"""Upsert of a Polars frame into a served table: COPY into a temporary stage, then one INSERT ... ON CONFLICT.

Guarantee: all of the frame or none of it, and repeating it changes nothing. Rules between rows (final rows stay,
states move forward only) stand in the database as triggers and hold here too.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import psycopg
from psycopg import sql

from crypto_intel.contracts.serving import SERVED, ServedTable
from streaming.errors import FatalError

SLICE_ROWS = 50_000
"""Rows a statement: about a second, so that no size of frame meets the statement timeout."""

_TIME = pl.Datetime("us", "UTC")


def upsert_frame(
    connection: psycopg.Connection,
    table: str,
    frame: pl.DataFrame,
    *,
    key: Sequence[str] | None = None,
    where_changed: bool = True,
    only_new: bool = False,
) -> int:
    """Insert the frame's rows, or update the rows of the same key with the frame's columns.

    Joins the transaction that is open on the connection, or makes its own.

    Args:
        connection: of psycopg.
        table: name of a served table (crypto_intel.contracts.serving).
        frame: the table's columns, each key once; those that are nullable or have a default may be left out, and
            are then left alone. Times without a zone are UTC.
        key: columns that rows meet on; default: the table's key.
        where_changed: leave rows alone that would not change.
        only_new: leave every row alone that is there.

    Returns:
        How many rows were inserted or changed.

    Raises:
        FatalError: unknown table or columns, no key, or two rows with one key.
    """
    served = checked(table, frame, key)
    on = list(key or served.key)
    if frame.is_empty():
        return 0
    stage = sql.Identifier(f"stage_{table}")
    values = [] if only_new else [name for name in frame.columns if name not in on]
    update = _update(values, where_changed) if values else sql.SQL("DO NOTHING")
    changed = 0
    with connection.transaction(), connection.cursor() as cursor:
        for part in _normalised(served, frame).iter_slices(SLICE_ROWS):
            _fill_stage(cursor, served, stage, part)
            cursor.execute(_insert(served, stage, frame.columns, on) + update)
            changed += cursor.rowcount
            cursor.execute(sql.SQL("DROP TABLE {}").format(stage))
    return changed


def checked(table: str, frame: pl.DataFrame, key: Sequence[str] | None = None) -> ServedTable:
    """The served table that the frame fits.

    Raises:
        FatalError: unknown table or columns, no key, or two rows with one key.
    """
    served = SERVED.get(table)
    if served is None:
        raise FatalError(f"{table!r} is not a served table; known: {', '.join(SERVED)}")
    on = list(key or served.key)
    if unknown := set(frame.columns) - set(served.column_names):
        raise FatalError(f"{table} has no column {', '.join(sorted(unknown))}")
    if missing := set(on) - set(frame.columns):
        raise FatalError(f"rows for {table} lack key column {', '.join(sorted(missing))}")
    if repeated := frame.height - (frame.select(on).n_unique() if frame.height else 0):
        raise FatalError(f"{repeated} rows for {table} repeat a key ({', '.join(on)})")
    return served


def _normalised(served: ServedTable, frame: pl.DataFrame) -> pl.DataFrame:
    times = {column.name for column in served.columns if column.type == "timestamp"} & set(frame.columns)
    return frame.with_columns(*(_in_utc(frame, name) for name in sorted(times)), *_without_nul(frame))


def _without_nul(frame: pl.DataFrame) -> list[pl.Expr]:
    # JSON and the lake can hold U+0000, PostgreSQL's text can not: one such headline would stop every later batch.
    def replaced(text: pl.Expr) -> pl.Expr:
        return text.str.replace_all("\x00", "\ufffd", literal=True)

    return [
        replaced(pl.col(name)) if dtype == pl.String else pl.col(name).list.eval(replaced(pl.element()))
        for name, dtype in frame.schema.items()
        if dtype in (pl.String, pl.List(pl.String))
    ]


def _in_utc(frame: pl.DataFrame, name: str) -> pl.Expr:
    zone = getattr(frame.schema[name], "time_zone", None)
    column = pl.col(name)
    return column.cast(_TIME) if zone else column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _fill_stage(cursor: psycopg.Cursor, served: ServedTable, stage: sql.Identifier, frame: pl.DataFrame) -> None:
    columns = _list(frame.columns)
    # ON COMMIT DROP: behind a pooler the session, and with it a lasting stage, would be somebody else's next.
    cursor.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            stage, columns, sql.Identifier("public", served.name)
        )
    )
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(stage, columns)) as copy:
        for row in frame.iter_rows():
            copy.write_row(row)


def _insert(served: ServedTable, stage: sql.Identifier, columns: Sequence[str], key: Sequence[str]) -> sql.Composed:
    return sql.SQL(
        # In the key's order, so that two transactions can not wait for each other's rows.
        "INSERT INTO {table} AS kept ({columns}) SELECT {columns} FROM {stage} ORDER BY {key} ON CONFLICT ({key}) "
    ).format(table=sql.Identifier("public", served.name), columns=_list(columns), stage=stage, key=_list(key))


def _update(values: Sequence[str], where_changed: bool) -> sql.Composed:
    update = sql.SQL("DO UPDATE SET {}").format(
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values)
    )
    if not where_changed:
        return update
    return update + sql.SQL(" WHERE ({}) IS DISTINCT FROM ({})").format(
        _list(values, "kept"), _list(values, "excluded")
    )


def _list(names: Sequence[str], owner: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*([owner] if owner else []), name) for name in names)
