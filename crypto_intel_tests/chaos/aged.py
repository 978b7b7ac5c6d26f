"""Makes a Delta table's past older than it is, so that a vacuum by the product's own retention has something to do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

DAY_S = 86_400


def aged(table: str, days: float) -> set[Path]:
    """Date what the table has no more so many days back: the files that a vacuum is to delete then.

    These are the ones that were moved into larger files, and one that is in no commit, which is made here; a second
    such file is left as young as one that is being written.

    Args:
        table: local folder of a table whose log has no checkpoint yet.
    """
    due = {path for log in sorted(Path(table, "_delta_log").glob("*.json")) for path in _redated(log, days)}
    folder = next(Path(table).glob("*=*"))
    orphan, young = folder / "orphan.parquet", folder / "young.parquet"
    for path in (orphan, young):
        path.write_bytes(b"cut short")
    past = time.time() - days * DAY_S
    os.utime(orphan, (past, past))
    return due | {orphan}


def _redated(log: Path, days: float) -> list[Path]:
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    removed = [action["remove"] for action in actions if "remove" in action]
    for remove in removed:
        remove["deletionTimestamp"] -= int(days * DAY_S * 1000)
    if removed:
        log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    return [log.parent.parent / remove["path"] for remove in removed]
