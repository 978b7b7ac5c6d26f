"""`crypto-intel verify`: is anything lost or doubled anywhere? Reads every hop, audits, and tells.

On a platform that runs, hops move while they are read; facts.py tells how what is on its way is kept apart. A repair or
a recomputed hour may still be under way: the hops are read again until nothing is unexplained or `patience_s` is over.
What is lost stays lost.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import msgspec
from rich.table import Table as RichTable
from rich.text import Text

from crypto_intel.core.audit import audit
from crypto_intel.core.audit_facts import Finding
from crypto_intel.stack.facts import Endpoints, read_facts


@dataclass(frozen=True)
class Report:
    """What the audit found."""

    findings: list[Finding]

    @property
    def is_ok(self) -> bool:
        """Whether every difference is explained."""
        return all(finding.is_ok for finding in self.findings)

    def to_json(self) -> str:
        """The findings as JSON: {"ok", "findings": [...]}."""
        rows = [{**asdict(finding), "ok": finding.is_ok} for finding in self.findings]
        return msgspec.json.format(msgspec.json.encode({"ok": self.is_ok, "findings": rows})).decode()

    def to_table(self) -> RichTable:
        """The findings for people."""
        verdict = "nothing lost, nothing doubled" if self.is_ok else "UNEXPLAINED DIFFERENCES"
        table = RichTable(title=f"verify: {verdict}")
        for name in ("hop", "what"):
            table.add_column(name)
        for name in ("expected", "found", "explained", "unexplained"):
            table.add_column(name, justify="right")
        table.add_column("note", overflow="fold")
        for finding in self.findings:
            numbers = (finding.expected, finding.found, finding.explained, finding.unexplained)
            style = "" if finding.is_ok else "bold red"
            table.add_row(finding.hop, finding.what, *(f"{n:,}" for n in numbers), Text(finding.note), style=style)
        return table


def run_verify(at: Endpoints, *, patience_s: float = 30, is_stopped: bool = False) -> Report:
    """Audit every hop.

    Args:
        patience_s: how long differences may take to disappear, and how long each wait for a hop may take.
        is_stopped: only the stores run; what the next start will read is waiting, not lost.
    """
    deadline = time.monotonic() + patience_s
    while True:
        report = Report(audit(read_facts(at, within_s=patience_s, is_stopped=is_stopped)))
        if report.is_ok or is_stopped or time.monotonic() >= deadline:
            return report
        time.sleep(2)
