"""What was measured, for people and for programs: a table in the terminal, JSON and Markdown in a folder."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table


class Column(NamedTuple):
    """A column: its title, the key of its value, and how that is written."""

    title: str
    key: str
    form: str = "{}"

    def text(self, row: Mapping[str, Any]) -> str:
        """The value of a row; empty where it has none."""
        value = row.get(self.key)
        return "" if value is None or value == "" else self.form.format(value)


BACKLOG = (
    Column("trades", "trades", "{:,}"),
    Column("who", "name"),
    Column("work s", "work_s", "{:.1f}"),
    Column("x floor", "work_ratio", "{:.1f}"),
    Column("with start-up s", "wall_s", "{:.1f}"),
    Column("trades/s", "per_s", "{:,.0f}"),
    Column("steady trades/s", "steady_per_s", "{:,.0f}"),
    Column("CPU s", "cpu_s", "{:.1f}"),
    Column("x floor", "cpu_ratio", "{:.1f}"),
    Column("steady CPU µs/trade", "steady_cpu_us", "{:.1f}"),
    Column("peak MiB", "peak_mib", "{:,.0f}"),
    Column("wrong", "wrong"),
)

LIVE = (
    Column("trades/s", "rate", "{:,}"),
    Column("minutes", "minutes", "{:g}"),
    *(
        Column(f"{where} {quantile} s", f"{where}_{quantile}_s", "{:.2f}")
        for where in ("postgres", "redis", "bronze", "alert")
        for quantile in ("p50", "p99")
    ),
    Column("alerts", "alerts"),
    Column("of jumps", "jumps"),
    Column("most behind", "most_behind", "{:,}"),
    Column("cores", "cores", "{:.2f}"),
    Column("peak MiB", "peak_mib", "{:,.0f}"),
    Column("missed", "missed"),
)
GROWTH = (
    Column("case", "name"),
    Column("trades", "trades", "{:,}"),
    Column("CPU µs/trade", "cpu_us", "{:.1f}"),
    Column("x first", "ratio", "{:.2f}"),
    Column("ingest µs", "ingest_us", "{:.1f}"),
    Column("live µs", "live_us", "{:.1f}"),
    Column("state KiB", "state_kib", "{:,.0f}"),
    Column("rate x retention KiB", "expected_kib", "{:,.0f}"),
    Column("peak MiB", "peak_mib", "{:,.0f}"),
    Column("missed", "missed"),
)


def head(command: str) -> dict[str, Any]:
    """When, where and how: what a figure means nothing without."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 1),
        "command": command,
    }


def show(console: Console, title: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table, a figure a line, so that it fits a terminal."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    for _ in rows:
        table.add_column(justify="right")
    for column in columns:
        if any(column.text(row) for row in rows):
            table.add_row(column.title, *(column.text(row) for row in rows))
    console.print(table)


def markdown(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as Markdown, without columns that are empty in every row."""
    used = [column for column in columns if any(column.text(row) for row in rows)]
    lines = [[column.title for column in used], ["---"] * len(used)]
    lines += [[column.text(row) for column in used] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def save(folder: Path, results: Mapping[str, Any], text: str) -> None:
    """Write bench.json and bench.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(text, encoding="utf-8")
