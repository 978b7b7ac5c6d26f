"""Rows that were refused, as rows of silver.quarantine; and which rows a contract refuses, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from crypto_intel.contracts.columns import Column, Table
from crypto_intel.contracts.derived import SILVER_QUARANTINE
from crypto_intel.core.frames import UTC_US, conform

Refuser = Literal["cleaning", "contract"]

WHOLE = "all"
"""Partition key of a table without partitions."""

MAX_ROWS = 10_000
"""Rows kept of one partition: enough to mend any fault, and a bound for a partition that is wrong altogether."""


def refused_rows(table: Table, partition: str, refused: pl.DataFrame, *, by: Refuser, at: datetime) -> pl.DataFrame:
    """Refused rows as rows of silver.quarantine.

    Args:
        table: that they were meant for.
        partition: key of its partition; WHOLE for a table without partitions.
        refused: the rows, with `reason`; behind MAX_ROWS they are left out.
        by: who refused them.
        at: wall clock, with its zone.
    """
    kept = refused.head(MAX_ROWS)
    texts = [msgspec.json.encode(row).decode() for row in kept.drop("reason").iter_rows(named=True)]
    frame = kept.select("reason").with_columns(
        row=pl.Series(texts, dtype=pl.String),
        table_name=pl.lit(table.full_name),
        partition_key=pl.lit(partition.replace("|", ".")),
        refused_by=pl.lit(by),
        refused_at=pl.lit(at.replace(tzinfo=None)).cast(UTC_US),
    )
    return conform(frame, SILVER_QUARANTINE)


def contract_breakers(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Those of the rows that break the table's contract, with the `reason`: the first rule that each breaks.

    Columns that are missing are no row's fault and are left to the check that found them so.
    """
    rules = [rule for column in table.columns if column.name in rows.columns for rule in _rules(column)]
    key = [name for name in table.key if name in rows.columns]
    if key:
        rules.append((f"key repeated: {', '.join(key)}", pl.struct(key).is_duplicated()))
    reason = pl.coalesce(*(pl.when(broken).then(pl.lit(words)) for words, broken in rules), pl.lit(None, pl.String))
    return rows.with_columns(reason=reason).filter(pl.col("reason").is_not_null())


def _rules(column: Column) -> Iterator[tuple[str, pl.Expr]]:
    value = pl.col(column.name)
    if not column.nullable:
        yield f"{column.name} is null", value.is_null()
    if column.minimum is not None:
        yield f"{column.name} below {column.minimum:g}", value < column.minimum
    if column.maximum is not None:
        yield f"{column.name} above {column.maximum:g}", value > column.maximum
    if column.allowed:
        yield f"{column.name} is no allowed word", ~value.is_in(list(column.allowed))
    if column.type == "double":
        yield f"{column.name} is not finite", ~value.is_finite()
