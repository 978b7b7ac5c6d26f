"""Records a venue's WebSocket: every message with the time of its receipt, before anything looks into it.

The connection is the producers' own, with a handler that only writes. **Bound and rule:** at most `BLOCK_BYTES` (1 MiB)
of messages wait in memory; then they are compressed and written before the next one is read, so a slow disk slows
reading, TCP holds the venue back, and at worst the venue ends the connection, which the recording says. Nothing is ever
dropped in silence. Blocks are written at least every second, files change by size and time, and a file that a kill cut
short is read up to its last block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import structlog

from streaming.errors import FatalError
from streaming.producers.binance import Binance
from streaming.producers.connection import Connection, Endpoint
from streaming.producers.kraken import Kraken
from streaming.producers.settings import ProducerSettings
from streaming.recorder.capture import FORMAT, PROVENANCE, SUFFIX, CaptureFile, Header, Kind, Provenance, Record, encode
from streaming.recorder.lines import Protocol

BLOCK_BYTES = 1 << 20
BLOCK_S = 1.0
STOPPED = "stopped"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rotation:
    """When the next file begins: what comes first of size (uncompressed) and age."""

    bytes: int = 256 << 20
    seconds: float = 600.0


class Recorder:
    """A frame handler that writes all it hears into a folder; closed by `close`.

    Args:
        folder: for the files; must hold no recording yet.
        provenance: what is recorded; kept up to date beside the files.
        rotation: when files change.

    Raises:
        FatalError: the folder holds a recording.
    """

    def __init__(self, folder: Path, provenance: Provenance, rotation: Rotation | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / PROVENANCE).exists():
            raise FatalError(f"{folder} holds a recording already; name another folder")
        self._folder = folder
        self._rotation = rotation or Rotation()
        self.provenance = provenance
        self._block = bytearray()
        self._records = 0
        self._messages = 0
        self._last_ns = 0
        self._file: CaptureFile | None = None
        self._file_bytes = 0
        self._file_since = 0.0
        self._write_provenance()

    async def on_connected(self) -> None:
        """Write it down."""
        self.provenance.connects += 1
        self._add("C", b"")

    def on_message(self, payload: bytes) -> None:
        """Write a message down; blocks while the disk is slow."""
        self._messages += 1
        self.provenance.messages += 1
        self.provenance.message_bytes += len(payload)
        self._add("F", payload)

    def on_overlap(self, payloads: list[bytes]) -> None:
        """Messages of a connection that took over: the one before may have given some of them, readers tell by id."""
        for payload in payloads:
            self.on_message(payload)

    def on_alive(self, asked_at: float) -> None:
        """Nothing to write."""

    def on_disconnected(self, reason: str) -> None:
        """Write it down, with the reason."""
        self.provenance.disconnects += reason != STOPPED  # our own goodbye is no loss
        self._add("D", reason.encode())
        self.flush()
        log.info("disconnected", reason=reason)

    def sent(self, message: bytes) -> None:
        """Write down what we said."""
        self._add("S", message)

    def _add(self, kind: Kind, payload: bytes) -> None:
        # A recording's times never go back, whatever the machine's clock does.
        self._last_ns = max(time.time_ns(), self._last_ns)
        self._block += encode(Record(self._last_ns, kind, payload))
        self._records += 1
        if len(self._block) >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits; change the file if it is due."""
        if not self._block:
            return
        file = self._open_file()
        file.write(bytes(self._block), records=self._records, messages=self._messages, last_ns=self._last_ns)
        self._file_bytes += len(self._block)
        self._block.clear()
        self._records = self._messages = 0
        is_old = time.monotonic() - self._file_since >= self._rotation.seconds
        if is_old or self._file_bytes >= self._rotation.bytes:
            self._close_file()

    def _open_file(self) -> CaptureFile:
        if self._file is None:
            started_ns = int(self._block[: self._block.index(b" ")])
            name = f"{self.provenance.venue}-{started_ns}-{len(self.provenance.files):05d}{SUFFIX}"
            header = Header(FORMAT, self.provenance.protocol, self.provenance.url)
            self._file = CaptureFile(self._folder / name, header, started_ns)
            self._file_bytes, self._file_since = 0, time.monotonic()
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self.provenance.files.append(self._file.close())
            self._file = None
            self._write_provenance()

    async def keep_flushing(self) -> None:
        """Write what waits every second, for ever."""
        while True:
            await asyncio.sleep(BLOCK_S)
            self.flush()

    def close(self, reason: str) -> None:
        """Write what waits and finish the provenance."""
        self.flush()
        self._close_file()
        self.provenance.ended = _now()
        self.provenance.reason = reason
        self._write_provenance()

    def _write_provenance(self) -> None:
        path = self._folder / PROVENANCE
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self.provenance), indent=2) + b"\n")
        partial.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def endpoint_of(venue: str, settings: ProducerSettings, symbols: Sequence[str], url: str | None) -> Endpoint:
    """What to connect to: the producers' own endpoint of a venue.

    Args:
        venue: binance or kraken.
        settings: for the default address.
        symbols: BASE-QUOTE; default: those of the settings.
        url: another base address.

    Raises:
        FatalError: no such venue.
    """
    if venue == "binance":
        markets = {symbol.replace("-", ""): symbol for symbol in symbols or settings.binance.markets}
        return Binance(url or settings.binance.ws_url, markets)
    if venue == "kraken":
        markets = {symbol.replace("-", "/"): symbol for symbol in symbols or settings.kraken.markets}
        return Kraken(url or settings.kraken.ws_url, markets)
    raise FatalError(f"cannot record {venue!r}; allowed: binance, kraken")


def _protocol(venue: str, url: str) -> Protocol:
    if venue == "binance":
        return "binance"
    return "kraken/v2" if url.rstrip("/").endswith("/v2") else "kraken/v1"


async def record(
    venue: str,
    folder: Path,
    settings: ProducerSettings,
    *,
    symbols: Sequence[str] = (),
    url: str | None = None,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    rotation: Rotation | None = None,
) -> Provenance:
    """Record until `seconds` have passed, `stop` is set or the source ends; then close the files.

    Returns:
        What was recorded.

    Raises:
        FatalError: no such venue, or the folder holds a recording.
    """
    endpoint = endpoint_of(venue, settings, symbols, url)
    provenance = Provenance(
        venue=venue,
        protocol=_protocol(venue, endpoint.url),
        url=endpoint.url,
        symbols=[str(symbol) for symbol in symbols or getattr(settings, venue).markets],
        started=_now(),
        version=version("crypto-intel"),
    )
    recorder = Recorder(folder, provenance, rotation)
    for message in endpoint.greetings():
        recorder.sent(message)  # what every connection begins with
    connection = Connection(endpoint, recorder, settings.reconnect, getattr(settings, venue))
    reason = "failed"
    try:
        reason = await _listen(connection, recorder, seconds, stop or asyncio.Event())
    finally:
        recorder.close(reason)
    return provenance


async def _listen(connection: Connection, recorder: Recorder, seconds: float | None, stop: asyncio.Event) -> str:
    """Why the recording is over; raises what the connection or the disk raised."""
    listening = asyncio.create_task(connection.run())
    flushing = asyncio.create_task(recorder.keep_flushing())
    stopping = asyncio.create_task(stop.wait())
    tasks: set[asyncio.Task[None] | asyncio.Task[bool]] = {listening, flushing, stopping}
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if listening in done:
            return "end of the source"
        return STOPPED if stopping in done else f"recorded for {seconds:g} s"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
