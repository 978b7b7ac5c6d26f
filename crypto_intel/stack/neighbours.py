"""Stacks of one user keep out of each other's ports: many a port is opened minutes after it was chosen.

Each start notes its data folder and ports in the user's cache. A note counts while its `up` or its supervisor lives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import BaseModel, ValidationError

from crypto_intel.stack import ports
from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor


class Note(BaseModel):
    """What a start notes."""

    root: Path
    up_pid: int
    ports: list[int]

    @property
    def counts(self) -> bool:
        """Whether its stack lives."""
        return psutil.pid_exists(self.up_pid) or Supervisor(Folder(self.root).socket).answers()


def claim(folder: Folder, up_pid: int, wanted: dict[str, int], notes: Path) -> tuple[dict[str, int], list[str]]:
    """`ports.choose`, with what stacks on other folders have chosen counted as taken, and noted for them.

    Args:
        notes: folder of the notes.
    """
    notes.mkdir(parents=True, exist_ok=True)
    own = notes / f"{hashlib.sha256(str(folder.root).encode()).hexdigest()[:12]}.json"
    with FileLock(notes / ".lock"):
        avoid = {port for note in _others(notes, own) for port in note.ports}
        chosen, said = ports.choose(wanted, avoid)
        note = Note(root=folder.root, up_pid=up_pid, ports=list(chosen.values()))
        write_atomic(own, note.model_dump_json())
    return chosen, said


def _others(notes: Path, own: Path) -> Iterator[Note]:
    for path in notes.glob("*.json"):
        if path == own:
            continue
        try:
            note = Note.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:  # of another version: it holds no port that can be known
            continue
        if note.counts:
            yield note
        else:
            path.unlink()
