"""`python -m crypto_intel_tests.benchmarks [backlog] [live] [growth]`: all three without a name.

Starts its own servers on free loopback ports, shows what it does, and writes a table, a picture and JSON.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from crypto_intel_tests.benchmarks import report
from crypto_intel_tests.benchmarks.backlog import Backlog
from crypto_intel_tests.benchmarks.servers import servers

QUICK = 100_000


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m crypto_intel_tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of backlog")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 4_000_000], help="trades of a backlog")
    parser.add_argument("--runs", type=int, default=1, help="of each contestant and size; the middle one counts")
    parser.add_argument("--quick", action="store_true", help="small sizes and short times: does it work?")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="folder of the results")
    chosen = parser.parse_args(argv)
    unknown = set(chosen.names) - {"backlog"}
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    return chosen


def main() -> int:
    """Run what was named; 1 when an output was wrong."""
    chosen = arguments(sys.argv[1:])
    console = Console()
    results = report.head(" ".join(["python -m crypto_intel_tests.benchmarks", *sys.argv[1:]]))
    bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch, bar:
        task = bar.add_task("starting servers")
        with servers(Path(scratch)) as running:
            backlog = Backlog(running, lambda text: bar.update(task, description=text), runs=chosen.runs)
            results["backlog"] = backlog.measure([QUICK] if chosen.quick else chosen.sizes)
    report.show(console, "backlog", report.BACKLOG, results["backlog"])
    console.print(f"written to {report.save(chosen.out, results)}")
    return int(any(row["wrong"] for row in results["backlog"]))


if __name__ == "__main__":
    sys.exit(main())
