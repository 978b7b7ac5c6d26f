"""Checks of rows against their contract, through pandera: types, nulls, ranges, allowed values, unique keys.

What belongs here: frame in, findings out. What does not: when checks run and what blocks on them (checks/factories.py).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from crypto_intel.contracts.columns import Column, Table
from crypto_intel.core.frames import polars_schema

if TYPE_CHECKING:
    import pandera.polars as pa

MAX_CASES = 20
"""Failing rows that a finding shows: enough to see the fault, small enough for the UI."""


@dataclass(frozen=True)
class Findings:
    """What a check of rows found. `failures`: column, rule, rows hit and up to MAX_CASES of the values."""

    row_count: int
    failures: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """No row breaks the contract."""
        return not self.failures


def check_rows(frame: pl.DataFrame, table: Table) -> Findings:
    """Judge rows by their contract; every broken rule is found, not only the first."""
    schema = schema_of(table)
    from pandera.errors import SchemaErrors  # noqa: PLC0415 - after schema_of, which imports pandera quietly

    failures = [] if set(frame.columns) == set(table.column_names) else [_column_difference(frame, table)]
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        failures += _summarise(errors)
    return Findings(frame.height, failures + _repeated_keys(frame, table))


@cache
def schema_of(table: Table) -> pa.DataFrameSchema:
    """The contract of a table as a pandera schema."""
    pandera = _pandera()
    types = polars_schema(table)
    schema: pa.DataFrameSchema = pandera.DataFrameSchema(
        {
            column.name: pandera.Column(types[column.name], _value_rules(column), nullable=column.nullable)
            for column in table.columns
        },
        name=table.full_name,
    )
    return schema


def _pandera() -> Any:
    # Imported on use: it takes a second, and pulls in pyspark.pandas, which warns about the pandas that is installed
    # though nothing here uses either.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import pandera.polars  # noqa: PLC0415
    return pandera.polars


def _value_rules(column: Column) -> list[pa.Check]:
    pandera = _pandera()
    rules = []
    if column.minimum is not None:
        rules.append(pandera.Check.ge(column.minimum))
    if column.maximum is not None:
        rules.append(pandera.Check.le(column.maximum))
    if column.allowed:
        rules.append(pandera.Check.isin(list(column.allowed)))
    if column.type == "double":
        rules.append(pandera.Check(_is_finite, name="finite"))
    return rules


def _is_finite(data: Any) -> pl.LazyFrame:
    frame: pl.LazyFrame = data.lazyframe.select(pl.col(data.key).is_finite() | pl.col(data.key).is_null())
    return frame


def _column_difference(frame: pl.DataFrame, table: Table) -> dict[str, Any]:
    difference = sorted(set(frame.columns) ^ set(table.column_names))
    return {"column": ", ".join(difference), "rule": "columns of the contract", "rows": frame.height, "cases": ""}


def _summarise(errors: Any) -> list[dict[str, Any]]:
    cases: pl.DataFrame = errors.failure_cases
    return [
        {
            "column": str(column),
            "rule": str(rule),
            "rows": rows.height,
            "cases": ", ".join(str(case) for case in rows["failure_case"].head(MAX_CASES).to_list()),
        }
        for (column, rule), rows in cases.group_by("column", "check", maintain_order=True)
    ]


def _repeated_keys(frame: pl.DataFrame, table: Table) -> list[dict[str, Any]]:
    # By hand: pandera's own check of unique rows repeats the whole frame in its failure cases.
    key = list(table.key)
    if not key or not set(key) <= set(frame.columns):
        return []
    repeated = frame.group_by(key).len().filter(pl.col("len") > 1).sort(key)
    if repeated.is_empty():
        return []
    cases = ", ".join(str(row[:-1]) for row in repeated.head(MAX_CASES).iter_rows())
    return [{"column": ", ".join(key), "rule": "unique key", "rows": int(repeated["len"].sum()), "cases": cases}]
