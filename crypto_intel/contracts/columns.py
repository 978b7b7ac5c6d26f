"""A column and a table, stated once, and their renderings for each engine.

Logical types are Spark's DDL names. Renderers need no engine installed but Arrow; Polars and Spark read theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Layer = Literal["bronze", "silver", "gold", "macro", "alerts"]
LogicalType = Literal[
    "string", "bigint", "int", "double", "boolean", "date", "timestamp", "binary", "array<string>", "decimal(38,18)"
]

_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
    "array<string>": pa.list_(pa.string()),
    "decimal(38,18)": pa.decimal128(38, 18),
}

_POSTGRES: dict[str, str] = {
    "string": "text",
    "bigint": "bigint",
    "int": "integer",
    "double": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "binary": "bytea",
    "array<string>": "text[]",
    "decimal(38,18)": "numeric(38,18)",
}


@dataclass(frozen=True)
class Column:
    """One column: its name carries unit and clock, `doc` says the rest.

    `minimum`/`maximum` bound the values of a numeric column (inclusive); `allowed` lists a string's values.
    """

    name: str
    type: LogicalType
    doc: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()

    @property
    def postgres_type(self) -> str:
        """The column's type in PostgreSQL."""
        return _POSTGRES[self.type]


@dataclass(frozen=True)
class Table:
    """A table of the lake: where it stands, its columns, its key and who may write it.

    `key` is unique once the table is de-duplicated; `writer` is the one process that writes it.
    """

    layer: Layer
    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    writer: Literal["spark", "dagster"]
    partition_by: tuple[str, ...] = ()
    time_column: str | None = None

    @property
    def full_name(self) -> str:
        """`layer.name`, as people and asset keys write it."""
        return f"{self.layer}.{self.name}"

    def path(self, lake: str) -> str:
        """Where the table stands under the lake's root (a folder or an s3:// URI)."""
        return f"{lake.rstrip('/')}/{self.layer}/{self.name}"

    @property
    def column_names(self) -> list[str]:
        """Names in order."""
        return [column.name for column in self.columns]

    def spark_ddl(self) -> str:
        """The schema as Spark's DDL text."""
        return ", ".join(
            f"`{column.name}` {column.type}" + ("" if column.nullable else " NOT NULL") for column in self.columns
        )

    def arrow_schema(self) -> pa.Schema:
        """The schema as Arrow's; times are microseconds in UTC."""
        return pa.schema([pa.field(c.name, _ARROW[c.type], nullable=c.nullable) for c in self.columns])

    def postgres_columns(self, names: Sequence[str] | None = None) -> str:
        """Column definitions for `CREATE TABLE`, for all columns or those in `names`."""
        wanted = set(names or self.column_names)
        return ",\n  ".join(
            f"{c.name} {_POSTGRES[c.type]}" + ("" if c.nullable else " NOT NULL")
            for c in self.columns
            if c.name in wanted
        )
