"""Polars' view of the contract's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from crypto_intel.contracts.columns import Table

TIME = pl.Datetime("us", "UTC")
"""Every time of every table."""

MARKET = pl.concat_str("venue", "symbol", separator=":").alias("market")
"""`venue:symbol` of a row: the key of its records in Kafka."""


@cache
def schema_of(table: Table) -> dict[str, Any]:
    """The table's columns and their Polars types, in order."""
    empty = pl.from_arrow(table.arrow_schema().empty_table())
    return dict(empty.schema)  # type: ignore[union-attr]


def rows_of(rows: Sequence[Mapping[str, Any]], table: Table) -> pl.DataFrame:
    """Rows of a table partitioned by day, from dictionaries without that day whose times are microseconds."""
    schema = schema_of(table)
    (day,) = table.partition_by
    raw = {name: pl.Int64 if dtype == TIME else dtype for name, dtype in schema.items() if name != day}
    frame = pl.DataFrame(rows, schema=raw)
    times = [name for name, dtype in schema.items() if dtype == TIME]
    typed = frame.with_columns(pl.col(times).cast(TIME))
    return typed.with_columns(pl.col(table.time_column or times[0]).dt.date().alias(day)).select(table.column_names)
