"""Text forms of recordings that others made, gzipped or plain; read as lines, in order of the file.

* `<receive time in ns> <message>`: hftbacktest's, Binance's combined streams;
* cryptofeed's: `<receive time in seconds>: <message>`, with the address in a line `wss://... <-> <time>`, what was sent
  in `wss://... <- <time>: ...`, REST answers in `https://... -> <time>: ...`, and `configuration: ...`;
* JSON lines `{"recv_ns": ..., "raw": {message}}`.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import msgspec

from streaming.errors import FatalError
from streaming.recorder.lines import Line, Protocol, protocol_of_url

Form = Literal["nanoseconds", "cryptofeed", "jsonl"]

_STAMPED = re.compile(rb"([0-9]{9,11})(?:\.([0-9]{1,9}))?: (.*)", re.DOTALL)
_CONNECTED = re.compile(rb"(wss?://\S+) <-> [0-9.]+")
_OTHER = (b"configuration: ", b"wss://", b"ws://", b"https://", b"http://")


class _JsonLine(msgspec.Struct):
    recv_ns: int
    raw: msgspec.Raw


def form_of(path: Path) -> Form | None:
    """The form of a text file by its first line that tells; None when it is no recording."""
    with _opened(path) as lines:
        for line, _ in zip(lines, range(20), strict=False):
            if line.startswith(_OTHER) or _STAMPED.match(line):
                return "cryptofeed"
            received, _, frame = line.partition(b" ")
            if received.isdigit() and len(received) >= 19 and frame:
                return "nanoseconds"
            if line.startswith(b'{"recv_ns":'):
                return "jsonl"
    return None


def read_text(path: Path, form: Form) -> Iterator[Line]:
    """Messages of a file.

    Raises:
        FatalError: a line has another form; names file and line.
    """
    readers = {"nanoseconds": _nanoseconds, "cryptofeed": _cryptofeed, "jsonl": _jsonl}
    with _opened(path) as lines:
        yield from readers[form](path, lines)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _nanoseconds(path: Path, lines: IO[bytes]) -> Iterator[Line]:
    for number, line in enumerate(lines, 1):
        received, _, frame = line.rstrip(b"\r\n").partition(b" ")
        if not received.isdigit() or not frame:
            raise FatalError(f"{path.name}:{number} is not `<receive time in ns> <frame>`")
        yield Line(int(received), "binance", frame)


def _jsonl(path: Path, lines: IO[bytes]) -> Iterator[Line]:
    for number, line in enumerate(lines, 1):
        try:
            read = msgspec.json.decode(line, type=_JsonLine)
        except msgspec.DecodeError as error:
            raise FatalError(f"{path.name}:{number} is not a recv_ns and a raw message: {error}") from error
        yield Line(read.recv_ns, "binance", bytes(read.raw))


def _cryptofeed(path: Path, lines: IO[bytes]) -> Iterator[Line]:
    protocol: Protocol | None = None
    for number, line in enumerate(lines, 1):
        text = line.rstrip(b"\r\n")
        connected = _CONNECTED.match(text)
        if connected:
            protocol = protocol_of_url(connected[1].decode())
        elif stamped := _STAMPED.fullmatch(text):
            if protocol is None:
                raise FatalError(f"{path.name}:{number} comes before the address that it was received from")
            received_ns = int(stamped[1]) * 10**9 + int((stamped[2] or b"0").ljust(9, b"0"))
            yield Line(received_ns, protocol, stamped[3])
        elif text and not text.startswith(_OTHER):
            raise FatalError(f"{path.name}:{number} is no line of a cryptofeed recording")
