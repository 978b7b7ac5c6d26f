"""Where a query stands by its checkpoint, before it has done a batch of its own.

A query that was killed right behind a batch has told nobody of it, and with nothing new to read it does no other: what
the checkpoint says is then the only word of how far it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector, FileType, PyFileSystem

from streaming.sinks.objects import get


def last_batch(checkpoint: str) -> int:
    """The newest batch that Spark has committed; -1 for a new checkpoint."""
    numbers = [int(name) for name in _names(f"{checkpoint}/commits") if name.isdigit()]
    return max(numbers, default=-1)


def read_to(checkpoint: str, batch_id: int) -> dict[str, Any]:
    """How far a batch went: {topic: {partition: offset}} and {layer/table: version}; empty for batch -1.

    Raises:
        msgspec.DecodeError: the log is not as this version of Spark writes it.
    """
    if batch_id < 0:
        return {}
    lines = (get(f"{checkpoint}/offsets/{batch_id}") or b"").decode().splitlines()
    read: dict[str, Any] = {}
    for line in lines[2:]:  # behind the log's version and the batch's settings, a line a source
        if line.startswith("{"):  # a source that has given nothing yet has "-"
            read |= msgspec.json.decode(line, type=dict[str, Any])
    return read


def _names(folder: str) -> list[str]:
    if "://" not in folder:
        return [path.name for path in Path(folder).iterdir()] if Path(folder).is_dir() else []
    found = PyFileSystem(DeltaStorageHandler(folder)).get_file_info(FileSelector("/", allow_not_found=True))
    return [info.base_name for info in found if info.type == FileType.File]
