"""Contracts as Polars sees them: schemas, empty frames, and the step that makes a frame conform.

What belongs here: the rendering of contracts.columns for Polars. What does not: rules about values (checks.py).
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from crypto_intel.contracts.columns import LogicalType, Table

UTC_US = pl.Datetime("us", "UTC")
"""The one time type of the platform."""


_POLARS: dict[LogicalType, pl.DataType | type[pl.DataType]] = {
    "string": pl.String,
    "bigint": pl.Int64,
    "int": pl.Int32,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "timestamp": UTC_US,
    "binary": pl.Binary,
    "array<string>": pl.List(pl.String),
    "decimal(38,18)": pl.Decimal(38, 18),
}
"""Stated and not read from Arrow's schema: that conversion imports pandas, most of a second for every process."""


def empty_frame(table: Table) -> pl.DataFrame:
    """A frame without rows, with the table's columns and types."""
    return pl.DataFrame(schema=polars_schema(table))


def polars_schema(table: Table) -> pl.Schema:
    """The table's columns and types."""
    return pl.Schema({column.name: _POLARS[column.type] for column in table.columns})


def conform(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The frame's columns in the contract's order and types.

    Raises:
        polars.exceptions.ColumnNotFoundError: a column of the contract is missing.
        polars.exceptions.InvalidOperationError: a value does not fit its column's type.
    """
    schema = polars_schema(table)
    return frame.select(schema.names()).cast(dict(schema))  # type: ignore[arg-type]


def to_arrow(frame: pl.DataFrame, table: Table) -> pa.Table:
    """The frame as Arrow with exactly the contract's schema, nullability included.

    Raises:
        ValueError: a column that the contract calls not null holds nulls.
    """
    conforming = conform(frame, table)
    for column in table.columns:
        if not column.nullable and conforming[column.name].null_count():
            raise ValueError(f"{table.full_name}.{column.name} holds nulls, the contract allows none")
    return conforming.to_arrow().cast(table.arrow_schema())
