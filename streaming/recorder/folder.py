"""A folder of recordings: which files it has, in which forms, and all their lines in order of receipt."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from streaming.errors import FatalError
from streaming.recorder import capture, texts
from streaming.recorder.lines import Line, Protocol

_TEXT_SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RecordedFile:
    """A file and how to read it: `form` of a text, or the protocol that our own file names."""

    path: Path
    form: texts.Form | None = None
    protocol: Protocol | None = None

    def lines(self) -> Iterator[Line]:
        """Its messages, in order."""
        if self.form is not None:
            return texts.read_text(self.path, self.form)
        assert self.protocol is not None  # noqa: S101 - one of the two is set
        return capture.read_lines(self.path, self.protocol)


def recorded_files(folder: Path) -> list[RecordedFile]:
    """Files of a recording, in order of path; folders within count too. Files that are none are left out.

    Raises:
        FatalError: there is none, or one of ours cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = [file for file in map(_recognised, paths) if file]
    if not found:
        raise FatalError(
            f"no recording in {folder}: expected *{capture.SUFFIX}, spot_*.txt.gz or another text form (see README)"
        )
    return found


def _recognised(path: Path) -> RecordedFile | None:
    if capture.is_capture(path):
        header = capture.read_header(path)
        return RecordedFile(path, protocol=header.protocol) if header else None
    if not path.name.endswith(_TEXT_SUFFIXES):
        return None
    form = "nanoseconds" if path.name.startswith("spot_") and ".txt" in path.name else texts.form_of(path)
    if form is None:
        log.info("not a recording, left out", file=path.name)
        return None
    return RecordedFile(path, form=form)


def merged(files: Sequence[RecordedFile]) -> Iterator[Line]:
    """Lines of all files in order of receipt."""
    return heapq.merge(*(file.lines() for file in files), key=lambda line: line.received_ns)
