"""Our own form of a recording: every byte as it came, zstd-compressed, checksummed, readable with `zstdcat`.

A file is a sequence of zstd frames; decompressed it is a sequence of records `<ns> <kind> <length> <payload>\\n`:

* ns: time of receipt, nanoseconds since 1970 UTC of the recorder's clock;
* kind: H header (JSON, first record of each file), F message of the venue, S message that we sent, C connected, D
  disconnected (payload: why);
* length: of the payload in bytes, so that payloads may hold anything, line breaks too.

Each zstd frame holds whole records and stands alone, so that a file that was cut short is read up to its last whole
frame. What belongs here: bytes and files. When and what is recorded: recorder.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec
import pyarrow as pa

from streaming.errors import FatalError
from streaming.recorder.lines import Line, Protocol

FORMAT = "crypto-intel-capture/1"
SUFFIX = ".capture.zst"
PARTIAL = ".partial"
PROVENANCE = "provenance.json"
_READ_BYTES = 1 << 20

Kind = Literal["H", "F", "S", "C", "D"]


class Header(msgspec.Struct, frozen=True):
    """First record of each file."""

    format: str
    protocol: Protocol
    url: str


class Record(NamedTuple):
    """One record of a file."""

    received_ns: int
    kind: str
    payload: bytes


class FileFacts(msgspec.Struct):
    """A file of a recording, for its provenance. `bytes` and `sha256` are of the compressed file."""

    name: str
    sha256: str
    bytes: int
    records: int
    messages: int
    first_ns: int
    last_ns: int


class Provenance(msgspec.Struct, kw_only=True):
    """Where a recording comes from; `provenance.json` beside its files. Times are ISO 8601, UTC.

    `ended` is null while it is recorded, or after a kill. `disconnects` counts connections that were lost or could not
    be made: what the venue said between them is not here.
    """

    format: str = FORMAT
    venue: str
    protocol: Protocol
    url: str
    symbols: list[str]
    started: str
    ended: str | None = None
    reason: str = ""
    version: str
    messages: int = 0
    message_bytes: int = 0
    connects: int = 0
    disconnects: int = 0
    files: list[FileFacts] = []


def encode(record: Record) -> bytes:
    """A record as it stands in a file."""
    return b"%d %b %d %b\n" % (record.received_ns, record.kind.encode(), len(record.payload), record.payload)


class CaptureFile:
    """One file that is being written: `<name>.partial` until it is closed, then `<name>`.

    Args:
        path: its name when it is whole.
        header: its first record.
        started_ns: receive time of the header.
    """

    def __init__(self, path: Path, header: Header, started_ns: int) -> None:
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL)
        self._file: BinaryIO = self._partial.open("xb")
        self._codec = pa.Codec("zstd")
        self._digest = hashlib.sha256()
        self.facts = FileFacts(path.name, "", 0, 0, 0, started_ns, started_ns)
        self._write_frame(encode(Record(started_ns, "H", msgspec.json.encode(header))))
        self.facts.records = 1

    def write(self, block: bytes, *, records: int, messages: int, last_ns: int) -> None:
        """Append whole records as one zstd frame; they are in the file when this returns."""
        self._write_frame(block)
        self.facts.records += records
        self.facts.messages += messages
        self.facts.last_ns = last_ns

    def _write_frame(self, block: bytes) -> None:
        compressed = self._codec.compress(block, asbytes=True)
        self._file.write(compressed)
        self._file.flush()
        self._digest.update(compressed)
        self.facts.bytes += len(compressed)

    def close(self) -> FileFacts:
        """Give the file its name and tell what is in it."""
        self._file.close()
        self._partial.replace(self._path)
        self.facts.sha256 = self._digest.hexdigest()
        return self.facts


def is_capture(path: Path) -> bool:
    """Whether a file's name is that of our form, whole or cut short."""
    return path.name.removesuffix(PARTIAL).endswith(SUFFIX)


def read_records(path: Path) -> Iterator[Record]:
    """Records of a file in order; of a file that was cut short those of its whole zstd frames.

    Raises:
        FatalError: the file is damaged, or none of ours.
    """
    rest = b""
    for chunk in _decompressed(path):
        rest = yield from _records_of(rest + chunk, path)
    if rest and not path.name.endswith(PARTIAL):
        raise FatalError(f"{path.name} ends within a record")


def _decompressed(path: Path) -> Iterator[bytes]:
    """The text of a file in pieces; a read that meets the cut gives nothing at all, so smaller ones follow it."""
    done, size = 0, _READ_BYTES
    while True:
        try:
            for chunk in _chunks(path, done, size):
                done += len(chunk)
                yield chunk
        except OSError as error:
            if not path.name.endswith(PARTIAL):
                raise FatalError(f"{path.name} is damaged: {error}") from error
            size //= 16
        else:
            return
        if not size:
            return


def _chunks(path: Path, start: int, size: int) -> Iterator[bytes]:
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, "zstd") as stream:
        while start:
            start -= len(stream.read(min(start, _READ_BYTES)))
        while chunk := stream.read(size):
            yield chunk


def _records_of(text: bytes, path: Path) -> Generator[Record, None, bytes]:
    """Whole records of a text; returns what is left."""
    place = 0
    while True:
        head = text[place : place + 64].split(b" ", 3)
        if len(head) < 4:
            return text[place:]
        if not (head[0].isdigit() and head[2].isdigit() and len(head[1]) == 1):
            raise FatalError(f"{path.name} holds something that is no record: {bytes(text[place : place + 40])!r}")
        start = place + sum(map(len, head[:3])) + 3
        stop = start + int(head[2])
        if stop >= len(text):
            return text[place:]
        yield Record(int(head[0]), head[1].decode(), text[start:stop])
        place = stop + 1


def read_header(path: Path) -> Header | None:
    """The header of a file; None when it was cut before its end.

    Raises:
        FatalError: the file is none of ours, or of a newer form.
    """
    first = next(read_records(path), None)
    if first is None:
        return None
    try:
        header = msgspec.json.decode(first.payload, type=Header)
    except msgspec.DecodeError as error:
        raise FatalError(f"{path.name} has no header: {error}") from error
    if header.format != FORMAT:
        raise FatalError(f"{path.name} is of form {header.format}; this version reads {FORMAT}")
    return header


def read_lines(path: Path, protocol: Protocol) -> Iterator[Line]:
    """The venue's messages of a file."""
    return (Line(record.received_ns, protocol, record.payload) for record in read_records(path) if record.kind == "F")


def verify(folder: Path) -> list[str]:
    """What is wrong with a recording's files, by its provenance; empty when all is well."""
    provenance = msgspec.json.decode((folder / PROVENANCE).read_bytes(), type=Provenance)
    faults = []
    for facts in provenance.files:
        path = folder / facts.name
        if not path.exists():
            faults.append(f"{facts.name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != facts.sha256:
            faults.append(f"{facts.name} has another checksum")
    return faults
