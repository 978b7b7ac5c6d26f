"""What a materialization says of itself: time range, markets, a preview. Rows and bytes are added by delta_io."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.columns import Table

PREVIEW_ROWS = 5
CELL_CHARS = 60
"""A longer cell is cut: the table is for a glance."""


def describe_rows(rows: pl.DataFrame, table: Table) -> dict[str, Any]:
    """Metadata of a frame that was written to a table."""
    found: dict[str, Any] = {"preview": dg.MetadataValue.md(markdown(rows.head(PREVIEW_ROWS)))}
    if table.time_column and not rows.is_empty():
        found["oldest"] = str(rows[table.time_column].min())
        found["newest"] = str(rows[table.time_column].max())
    if {"venue", "symbol"} <= set(rows.columns):
        found["markets"] = rows.select("venue", "symbol").n_unique()
    return found


def markdown(rows: pl.DataFrame) -> str:
    """A small frame as a Markdown table."""
    if rows.is_empty():
        return "no rows"
    lines = ["| " + " | ".join(rows.columns) + " |", "|" + " --- |" * rows.width]
    return "\n".join([*lines, *("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows.iter_rows())])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:CELL_CHARS]
