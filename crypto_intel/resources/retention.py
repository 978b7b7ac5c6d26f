"""How long served rows are kept: the database knows and does it (ops.apply_retention), here it is asked to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from crypto_intel.contracts.serving import ServedTable


@dataclass(frozen=True)
class Dropped:
    """What was dropped of a table: everything older than `cutoff`."""

    table: str
    cutoff: datetime
    parts: int
    rows: int


def apply_retention(connection: psycopg.Connection[Any]) -> list[Dropped]:
    """Drop what is older than ops.retention says, by table; empty before the first trade, since nothing has an age."""
    found = connection.execute("SELECT table_name, cutoff, parts_dropped, rows_deleted FROM ops.apply_retention()")
    return [Dropped(*row) for row in found.fetchall()]


def ensure_partitions(connection: psycopg.Connection[Any], table: ServedTable, first: date, last: date) -> int:
    """Make the table's parts for these days (UTC), so that rows of theirs can be dropped whole one day."""
    found = connection.execute("SELECT ops.ensure_partitions(%s, %s, %s)", (f"public.{table.name}", first, last))
    made: int = found.fetchall()[0][0]
    return made
