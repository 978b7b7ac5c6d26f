"""`make chaos`: every fault in turn on real servers, a progress bar meanwhile, and the table of what came of it.

    python -m crypto_intel_tests.chaos [--only R1 ...] [--short] [--set soak_minutes=60 ...] [--report chaos.md]

Exit code 0 only if nothing was lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from crypto_intel.stack import java
from crypto_intel.stack.jars import default_folder, resolve_jars
from crypto_intel_tests.chaos.faults import Fault, faults
from crypto_intel_tests.chaos.ground import Ground, ground_at
from crypto_intel_tests.chaos.judgement import Verdict
from crypto_intel_tests.chaos.scale import FULL, SHORT, Scale
from crypto_intel_tests.chaos.table import Row, markdown


def main() -> int:
    """Run by hand."""
    parser = argparse.ArgumentParser(prog="python -m crypto_intel_tests.chaos", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="goals (R1 ...) or words of faults' names")
    parser.add_argument("--short", action="store_true", help="fewer kills, a smaller load")
    parser.add_argument("--set", nargs="*", default=[], help="other amounts, e.g. soak_minutes=60 (scale.py has all)")
    parser.add_argument("--report", type=Path, default=Path(".chaos/report.md"), help="where the table goes")
    told = parser.parse_args()
    scale = (SHORT if told.short else FULL).with_(told.set)
    wanted = [fault for fault in faults(scale) if fault.is_meant(told.only)]
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    java_home = java.find_java_home()
    jars = resolve_jars(default_folder(), java_home)
    with ground_at(folder, java_home, jars) as ground:
        rows = run(ground, wanted, scale, told.report)
    bad = [row for row in rows if not row.is_good]
    if not bad:
        shutil.rmtree(folder, ignore_errors=True)
    console = Console()
    console.print(f"{len(rows)} rows in {told.report}; {len(bad)} of them not good", style="red" if bad else "green")
    for row in bad:
        console.print(f"{row.goal} {row.fault}: {row.verdict.what}\n  in {folder}", style="red", markup=False)
    return 1 if bad else 0


def run(ground: Ground, wanted: list[Fault], scale: Scale, report: Path) -> list[Row]:
    """All faults in turn; the report is written anew after each."""
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(wanted))
        for fault in wanted:
            bar.update(task, description=fault.name)
            rows += _done(fault, ground, partial(_tell, bar, task, fault.name))
            bar.advance(task)
            _write(report, rows)
    return rows


def _tell(bar: Progress, task: TaskID, name: str, said: str) -> None:
    bar.update(task, description=f"{name}: {said}")
    if not bar.console.is_terminal:  # a file shows the bar at its end alone
        sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {name}: {said}\n")


def _done(fault: Fault, ground: Ground, tell: Callable[[str], None]) -> list[Row]:
    began = time.monotonic()
    try:
        rows = fault.do(ground, tell)
    except Exception as error:  # one fault that can not be done must not hide the others
        rows = [Row(fault.goal, fault.name, 0, Verdict(wrong=1, what="".join(traceback.format_exception(error))))]
    finally:
        ground.end()
    sys.stderr.write(f"{fault.goal} {fault.name}: {time.monotonic() - began:.0f} s\n")
    for row in rows:
        sys.stderr.write(f"  {row.markdown()} {row.verdict.what[-3000:]}\n")
    return rows


def _write(report: Path, rows: list[Row]) -> None:
    report.parent.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m crypto_intel_tests.chaos", *sys.argv[1:]])
    report.write_text(f"{datetime.now(UTC):%Y-%m-%d}, `{command}`\n\n{markdown(rows)}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
