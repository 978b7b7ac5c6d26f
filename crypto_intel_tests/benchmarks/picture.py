"""The picture of a run: bars of the backlog, latencies and batches of the live part, growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crypto_intel_tests.benchmarks.live import GOALS_S

_INK, _PRODUCT, _OTHER, _GOAL = "#22303c", "#2a6f97", "#a9b4bd", "#c8553d"
_STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "axes.titlelocation": "left"}
Rows = Sequence[Mapping[str, Any]]


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw what was measured; parts that were not are left out."""
    parts = [(draw_part, results[name]) for name, draw_part in _PARTS if results.get(name)]
    if not parts:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 3.6 * len(parts)), layout="constrained")
        axes = figure.subplots(len(parts), 2, squeeze=False)
        for (draw_part, rows), (left, right) in zip(parts, axes, strict=True):
            draw_part(rows, left, right)
        load = results.get("load_before", 0)
        told = f"{results['date']}, {results['machine']}; load of other things before: {load}"
        figure.suptitle(told, fontsize=9, color=_INK)
        figure.savefig(path, dpi=110)


def _backlog(rows: Rows, left: Axes, right: Axes) -> None:
    sound = [row for row in rows if not row["wrong"]]
    names = [f"{row['name']}\n{row['trades'] / 1e6:g} M" for row in sound]
    colors = [_PRODUCT if row["name"] == "product" else _OTHER for row in sound]
    _bars(left, names, [row["work_s"] for row in sound], colors, "Backlog: seconds of work")
    _bars(right, names, [row["cpu_s"] for row in sound], colors, "Backlog: CPU-seconds, start-up among them")


def _live(rows: Rows, left: Axes, right: Axes) -> None:
    stores = list(GOALS_S)
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        at = [place + number * width for place in range(len(stores))]
        values = [row.get(f"{store}_p99_s") or 0 for store in stores]
        label = f"{row['rate']:,} trades/s"
        drawn = left.bar(at, values, width * 0.9, color=(_OTHER, _PRODUCT)[number % 2], label=label)
        left.bar_label(drawn, fmt="%.1f", fontsize=8)
        for name, batches in row["batches"].items():
            if name in ("ingest", "live"):
                series = batches["series"]
                style = "-" if name == "live" else "--"
                right.plot(
                    [at / 60 for at, *_ in series], [ms for _, ms, _ in series], style, lw=1, label=f"{name}, {label}"
                )
    for place, store in enumerate(stores):
        left.hlines(GOALS_S[store], place - 0.4, place + 0.8, color=_GOAL, lw=1.2)
    left.set_xticks([place + width * (len(rows) - 1) / 2 for place in range(len(stores))], stores)
    left.set_title("Live: from the trade to the store, p99 in seconds; red: the goal")
    right.set_title("Live: milliseconds of a batch, over minutes")
    for axes in (left, right):
        axes.legend(fontsize=8, frameon=False)
    right.set_ylim(bottom=0)


def _growth(rows: Rows, left: Axes, right: Axes) -> None:
    names = [row["name"].replace(", ", "\n") for row in rows]
    _bars(
        left, names, [row["cpu_us"] for row in rows], [_PRODUCT] * len(rows), "Growth: CPU µs a trade; red: the bound"
    )
    left.axhline(1.2 * rows[0]["cpu_us"], color=_GOAL, lw=1.2)
    _bars(
        right, names, [row["state_kib"] for row in rows], [_PRODUCT] * len(rows), "Growth: KiB of state; red: the bound"
    )
    right.set_yscale("log")
    for place, row in enumerate(rows):
        right.hlines(1.2 * row["expected_kib"], place - 0.45, place + 0.45, color=_GOAL, lw=1.2)


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], colors: Sequence[str], title: str) -> None:
    drawn = axes.bar(range(len(names)), values, color=colors)
    axes.set_xticks(range(len(names)), names)
    axes.bar_label(drawn, fmt="{:,.1f}", fontsize=8)
    axes.set_title(title)


_PARTS = (("backlog", _backlog), ("live", _live), ("growth", _growth))
