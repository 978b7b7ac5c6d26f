"""`python -m crypto_intel_tests.benchmarks [backlog] [live] [growth]`: all three without a name.

Starts its own servers on free loopback ports, shows what it does, and writes a table, a picture and JSON.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from crypto_intel_tests.benchmarks import growth, report
from crypto_intel_tests.benchmarks.backlog import Backlog
from crypto_intel_tests.benchmarks.live import Live
from crypto_intel_tests.benchmarks.picture import draw
from crypto_intel_tests.benchmarks.servers import Servers, servers

NAMES = ("backlog", "live", "growth")
QUICK = 100_000
COLUMNS = {"backlog": report.BACKLOG, "live": report.LIVE, "growth": report.GROWTH}
Tell = Callable[[str], Any]


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m crypto_intel_tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 4_000_000], help="trades of a backlog")
    parser.add_argument("--runs", type=int, default=1, help="of each contestant and size; the middle one counts")
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000, 5_000], help="live trades a second")
    parser.add_argument("--minutes", type=float, default=10, help="of each live rate, behind a minute of warm-up")
    parser.add_argument("--growth-rate", type=int, default=60, help="trades of a market in a minute")
    parser.add_argument("--quick", action="store_true", help="small sizes and short times: does it work?")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="folder of the results")
    chosen = parser.parse_args(argv)
    chosen.names = chosen.names or list(NAMES)
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if chosen.quick:
        chosen.sizes, chosen.rates, chosen.minutes, chosen.growth_rate = [QUICK], [1_000], 0.5, 6
    return chosen


def measure(name: str, chosen: argparse.Namespace, running: Servers, tell: Tell) -> list[dict[str, Any]]:
    """The rows of a benchmark."""
    if name == "backlog":
        return Backlog(running, tell, runs=chosen.runs, seed=chosen.seed).measure(chosen.sizes)
    if name == "live":
        return Live(running, tell).measure(chosen.rates, chosen.minutes)
    return growth.measure(running.folder, tell, growth.CASES, rate=chosen.growth_rate, seed=chosen.seed)


def main() -> int:
    """Run what was named; 1 when an output was wrong."""
    chosen = arguments(sys.argv[1:])
    console = Console()
    results = report.head(" ".join(["python -m crypto_intel_tests.benchmarks", *sys.argv[1:]]))
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        try:
            with Progress(*columns, console=console) as bar, servers(Path(scratch)) as running:
                task = bar.add_task("", total=len(chosen.names))
                for name in chosen.names:
                    results[name] = measure(name, chosen, running, partial(_describe, bar, task, name))
                    bar.advance(task)
                    _keep(results, chosen.out)
        finally:
            shutil.copytree(Path(scratch) / "logs", chosen.out / "logs", dirs_exist_ok=True)
    return _tell(results, chosen.out, console)


def _describe(bar: Progress, task: TaskID, name: str, text: str) -> None:
    bar.update(task, description=f"{name}: {text}")


def _keep(results: dict[str, Any], out: Path) -> None:
    # After each benchmark, so that a later one that fails takes nothing with it.
    text = f"{results['date']}, {results['machine']}, load before {results['load_before']}\n`{results['command']}`\n"
    for name, columns in COLUMNS.items():
        text += f"\n## {name}\n\n{report.markdown(columns, results[name])}" if name in results else ""
    report.save(out, results, text)
    draw(results, out / "bench.png")


def _tell(results: dict[str, Any], out: Path, console: Console) -> int:
    for name, columns in COLUMNS.items():
        if name in results:
            report.show(console, name, columns, results[name])
    console.print(f"tables, JSON, picture and logs are in {out}")
    return int(any(row.get("wrong") for name in COLUMNS for row in results.get(name, ())))


if __name__ == "__main__":
    sys.exit(main())
