"""The table of a run: a row for each fault, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from crypto_intel_tests.chaos.judgement import Verdict

HEADER = (
    "| goal | fault | times | records | lost | doubled | wrong | back after, s (median, worst) |\n"
    "|---|---|---:|---:|---:|---:|---:|---|"
)


@dataclass
class Row:
    """What came of a fault.

    Attributes:
        goal: of the reliability goals, e.g. R1.
        fault: what was done.
        times: how often.
        verdict: what was wrong afterwards.
        records: how many were acknowledged by the broker.
        recovery_s: seconds until new rows were committed again, each time.
        note: what else is to be said.
    """

    goal: str
    fault: str
    times: int
    verdict: Verdict
    records: int = 0
    recovery_s: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def is_good(self) -> bool:
        """Nothing lost, doubled or wrong."""
        return self.verdict.is_right

    def markdown(self) -> str:
        """As a line of the table."""
        took = self.recovery_s
        back = f"{statistics.median(took):.1f}, {max(took):.1f}" if took else ""
        what = f"{self.fault}; {self.note}" if self.note else self.fault
        wrong = f"{self.verdict.lost} | {self.verdict.doubled} | {self.verdict.wrong}"
        return f"| {self.goal} | {what} | {self.times} | {self.records:,} | {wrong} | {back} |"


def markdown(rows: Iterable[Row]) -> str:
    """The whole table."""
    return "\n".join([HEADER, *(row.markdown() for row in rows)]) + "\n"
