"""What a materialization says of itself: time range, markets, a preview. Rows and bytes are added by delta_io."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.graph.lineage import lineage_metadata

PREVIEW_ROWS = 5
CELL_CHARS = 60
"""A longer cell is cut: the table is for a glance."""


def describe_rows(rows: pl.DataFrame, table: Table) -> dict[str, Any]:
    """Metadata of a frame that was written to a table."""
    preview = dg.MetadataValue.md(markdown(rows.head(PREVIEW_ROWS)))
    found: dict[str, Any] = {**lineage_metadata(table), "preview": preview}
    if table.time_column and not rows.is_empty():
        found["oldest"] = str(rows[table.time_column].min())
        found["newest"] = str(rows[table.time_column].max())
    if {"venue", "symbol"} <= set(rows.columns):
        found["markets"] = rows.select("venue", "symbol").n_unique()
    return found


BARS = "▁▂▃▄▅▆▇█"
CHART_POINTS = 60
CHART_MARKETS = 10


def chart(rows: pl.DataFrame, column: str) -> dg.MarkdownMetadataValue:
    """A column over time as a small chart in text, one line a market: what the UI shows of Markdown is text."""
    lines = [
        {"market": f"{venue}:{symbol}", "low": min(values), column: sparkline(values), "high": max(values)}
        for (venue, symbol), frame in rows.sort("window_start").group_by("venue", "symbol", maintain_order=True)
        if (values := frame[column].drop_nulls().to_list())
    ]
    lines.sort(key=lambda line: str(line["market"]))
    return dg.MetadataValue.md(markdown(pl.DataFrame(lines[:CHART_MARKETS]), cell_chars=CHART_POINTS))


def prices_chart(rows: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Closes over time."""
    return chart(rows, "close")


def sparkline(values: Sequence[float]) -> str:
    """Values as blocks of eight heights, from the least to the greatest of them; at most CHART_POINTS of them."""
    shown = values[:: max(1, math.ceil(len(values) / CHART_POINTS))]
    low, high = min(shown), max(shown)
    step = (high - low) / (len(BARS) - 1) or 1
    return "".join(BARS[round((value - low) / step)] for value in shown)


def markdown(rows: pl.DataFrame, cell_chars: int = CELL_CHARS) -> str:
    """A small frame as a Markdown table."""
    if rows.is_empty():
        return "no rows"
    lines = ["| " + " | ".join(rows.columns) + " |", "|" + " --- |" * rows.width]
    lines += ["| " + " | ".join(_cell(value, cell_chars) for value in row) + " |" for row in rows.iter_rows()]
    return "\n".join(lines)


def _cell(value: object, chars: int) -> str:
    text = "" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:chars]
