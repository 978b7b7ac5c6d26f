"""R17: others write to the lake beside the stream: a second application, compaction, and a vacuum of old files."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from crypto_intel.contracts import tables
from crypto_intel_tests.chaos.aged import aged
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.table import Row

TOUCHED = ("bronze.trades", "silver.bars_1m", "bronze.feed_status")
ROUNDS = 20
AGE_DAYS = 8
"""A day more than the product keeps what its tables have no more."""


class Housekeeper:
    """Another process than the stream's that keeps its tables tidy, and what it saw of them.

    Attributes:
        compacted: how often.
        deleted: files that vacuums deleted.
    """

    def __init__(self, application: Application) -> None:
        self._paths = {name: tables.TABLES[name].path(str(application.lake)) for name in TOUCHED}
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}
        self._due: set[Path] = set()
        self.compacted = 0
        self.deleted: set[Path] = set()

    def age(self) -> None:
        """Compact, and make what that left so old that it may go."""
        self._compact()
        self._seen.clear()  # versions of long ago may go
        for path in self._paths.values():
            self._due |= aged(path, AGE_DAYS)

    def tidy(self) -> None:
        """Compact and vacuum each table, by the table's own retention."""
        self._compact()
        for path in self._paths.values():
            self.deleted |= {Path(path, name) for name in DeltaTable(path).vacuum(dry_run=False, full=True)}

    def judge(self, verdict: Verdict) -> None:
        """What was due is gone, nothing else was deleted, and each version within the retention still reads."""
        verdict.add("old files that are still there", wrong=sum(path.exists() for path in self._due))
        verdict.add("files deleted before their time", lost=len(self.deleted - self._due))
        changed = [at for at, was in self._seen.items() if _told(self._paths[at[0]], at[1]) != was]
        verdict.add(f"versions that no longer read as they did: {changed[:5]}", wrong=len(changed))

    def _compact(self) -> None:
        for name, path in self._paths.items():
            table = DeltaTable(path)
            self._seen[name, table.version()] = _told(path, table.version())
            table.optimize.compact()
            self.compacted += 1

    @property
    def versions(self) -> int:
        """How many versions it will read again."""
        return len(self._seen)


def _told(path: str, version: int) -> tuple[int, int]:
    # Reads every file of the version; a file that is gone is no rows and no sum.
    table = DeltaTable(path, version=version)
    column = "trade_count" if "trade_count" in [field.name for field in table.schema().fields] else "kafka_offset"
    try:
        count, total = pl.scan_delta(table).select(pl.len(), pl.col(column).sum()).collect().row(0)
    except FileNotFoundError:
        return -1, 0
    return int(count), int(total)


def two_writers(ground: Ground) -> list[Row]:
    """A second application on the same lake is refused; compaction and vacuums from outside cost no commit."""
    application = ground.application("writers")
    load = Load(application.topics, minutes=15, trades_per_minute=300, articles=20)
    sender, third = Sender(ground.bootstrap), len(load.records) // 3
    sender.send(load.records[:third])
    application.start()
    application.wait_for(lambda: bronze_count(application.lake) >= third)
    application.stop()
    keeper = Housekeeper(application)
    keeper.age()
    flow = sender.in_background(load.records[third:], 70)
    started(application)
    rounds = 0
    while flow.is_alive() and rounds < ROUNDS:
        keeper.tidy()
        rounds += 1
    refused = _second(application)
    flow.join()
    verdict, _ = finish(application, sender, load)
    keeper.judge(verdict)
    beside = "compaction by another process beside the stream, each time with a vacuum of what is older than 7 days"
    note = f"{len(keeper.deleted)} files deleted, all of them due; {keeper.versions} older versions read as before"
    return [
        Row("R17", "second application on the same lake: refused", 1, refused, len(sender.acked)),
        Row("R17", beside, keeper.compacted, verdict, len(sender.acked), note=note),
    ]


def _second(application: Application) -> Verdict:
    second = Application(**{**vars(application), "process": None, "name": "second"})
    second.start()
    refused = Verdict()
    code, said = second.wait_for_end(240), second.tail()
    if code == 0 or "another process writes" not in said:
        refused.add(f"the second writer ended with {code}: {said}", wrong=1)
    return refused
