"""A recording as a backing: real frames, untouched, in the order in which they were received.

Reads the text form `<receive time in ns> <combined-stream JSON>`, gzipped, one file a symbol and day. Files are
merged as they are read; only trades already played are kept, since REST must know them by id.
"""

from __future__ import annotations

import gzip
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from streaming.clock import Anchors, time_at, wall_us
from streaming.errors import FatalError
from streaming.simulator.venue import E8, Day, Frame, VenueSymbol, VenueTrade

AS_FAST_AS_READ = 1_000_000.0
"""Speed that is told for "as fast as possible": the clock is at the recording's end at once."""

_BATCH_LINES = 2_000  # bounds what one tick sends, and so what clients' buffers take in
_MICROSECONDS_FROM = 100_000_000_000_000  # as milliseconds this is the year 5138
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "BTC", "ETH", "BNB", "EUR")


class _WireTrade(msgspec.Struct):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _WireFrame(msgspec.Struct):
    # Recorders write REST answers among the frames (order book snapshots): those have no stream.
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True)
class Summary:
    """What a capture holds: receive times of its first and last line, in ns, and the symbols that trade in it."""

    start_ns: int
    end_ns: int
    symbols: list[VenueSymbol]


def capture_files(folder: Path) -> list[Path]:
    """Files of a capture in order of name.

    Raises:
        FatalError: there is none.
    """
    files = sorted(folder.glob("spot_*.txt.gz"))
    if not files:
        raise FatalError(f"no recording in {folder}: expected files named spot_*.txt.gz")
    return files


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Receive time in ns and frame of each line.

    Raises:
        FatalError: a line has another form; names file and line.
    """
    with gzip.open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            received, _, frame = line.rstrip(b"\r\n").partition(b" ")
            if not received.isdigit() or not frame:
                raise FatalError(f"{file.name}:{number} is not `<receive time in ns> <frame>`")
            yield int(received), frame


def merged(files: list[Path]) -> Iterator[tuple[int, bytes]]:
    """Lines of all files in order of receipt."""
    return heapq.merge(*(read_lines(file) for file in files), key=lambda line: line[0])


def summarise(files: list[Path]) -> Summary:
    """Read a capture once to tell its span and symbols."""
    start, end = 2**63, 0
    streams: set[bytes] = set()
    for file in files:
        for received, frame in read_lines(file):
            start, end = min(start, received), max(end, received)
            streams.add(frame[: frame.find(b",")])
    names = {part.split(b'"')[3].removesuffix(b"@trade").decode() for part in streams if b"@trade" in part}
    return Summary(start, end, sorted(symbol_of(name.upper()) for name in names))


def symbol_of(name: str) -> VenueSymbol:
    """The symbol of a venue's spelling, split by the quote assets that the venue is known to have.

    Raises:
        FatalError: no known quote asset fits.
    """
    for quote in _QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return VenueSymbol(name.removesuffix(quote), quote)
    raise FatalError(f"cannot tell base and quote of {name}")


class RecordingBacking:
    """Plays a capture at `speed` times its pace from the first subscription on.

    Args:
        folder: of the capture.
        speed: 0 is as fast as clients read.
        resume_ns: receive time of the last line that an earlier run played; playing goes on behind it.
    """

    def __init__(self, folder: Path, speed: float, resume_ns: int | None = None) -> None:
        self._files = capture_files(folder)
        self._summary = summarise(self._files)
        self._speed = speed or AS_FAST_AS_READ
        self._is_paced = speed > 0
        self._known: dict[str, dict[int, VenueTrade]] = {symbol.name: {} for symbol in self._summary.symbols}
        self._lines = merged(self._files)
        self._next = next(self._lines, None)
        self._played_ns = self._summary.start_ns
        self._begun: tuple[int, int] | None = None  # wall and recording time at which this run began to play
        self._is_behind = False
        if resume_ns is not None:
            self._fast_forward(resume_ns)

    def _fast_forward(self, until_ns: int) -> None:
        while self._next and self._next[0] <= until_ns:
            self._play_next()

    @property
    def symbols(self) -> list[VenueSymbol]:
        """Symbols that trade in the capture."""
        return self._summary.symbols

    @property
    def start_us(self) -> int:
        """Receive time of the first line."""
        return self._summary.start_ns // 1000

    @property
    def end_us(self) -> int:
        """Receive time of the last line."""
        return self._summary.end_ns // 1000

    @property
    def anchors(self) -> Anchors:
        """The recording's clock: still until the first subscription, and again behind the end."""
        is_running = self._begun is not None and not self.has_ended
        wall, begun = self._begun or (0, self._played_ns // 1000)
        return Anchors(
            source="replay",
            recording_start_us=self.end_us if self.has_ended else begun,
            wall_anchor_us=wall,
            speed=self._speed if is_running else 0.0,
            ended=self.has_ended,
            recording_end_us=self.end_us,
        )

    @property
    def has_ended(self) -> bool:
        """Whether every line was played."""
        return self._next is None

    @property
    def position(self) -> int | None:
        """Receive time of the last line played, in ns: where another run can go on."""
        return self._played_ns

    @property
    def is_behind(self) -> bool:
        """Whether more frames were due at the last call than one batch holds."""
        return self._is_behind

    def begin(self) -> None:
        """Start the recording's clock, once."""
        self._begun = self._begun or (wall_us(), self._played_ns // 1000)

    def skip(self) -> None:
        """Nobody listens: a recording that has begun goes on, one that has not waits."""
        if self._begun is not None:
            self.due(frozenset())

    def due(self, streams: frozenset[str]) -> list[Frame]:
        """Frames of the wanted streams whose time has come, at most one batch."""
        self.begin()
        until_ns = time_at(self.anchors, wall_us()) * 1000 + 999 if self._is_paced else self._summary.end_ns
        frames: list[Frame] = []
        for _ in range(_BATCH_LINES):
            if self._next is None or self._next[0] > until_ns:
                break
            frame = self._play_next()
            if frame.stream in streams:
                frames.append(frame)
        self._is_behind = self._next is not None and self._next[0] <= until_ns
        return frames

    def _play_next(self) -> Frame:
        assert self._next is not None  # noqa: S101 - callers look first
        self._played_ns, payload = self._next
        self._next = next(self._lines, None)
        wire = msgspec.json.decode(payload, type=_WireFrame)
        if not wire.stream.endswith("@trade"):
            return Frame(wire.stream, "", 0, payload)
        trade = msgspec.json.decode(wire.data, type=_WireTrade)
        self._known[trade.s][trade.t] = VenueTrade(trade.t, _microseconds(trade.T), _e8(trade.p), _e8(trade.q), trade.m)
        return Frame(wire.stream, symbol_of(trade.s).market, trade.t, payload)

    def trades_from(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades from `from_id` on, or the latest ones; only what was played."""
        known = self._known[symbol.name]
        if not known:
            return []
        last = max(known)  # ids of a capture are contiguous, up to gaps of the recorder
        first = max(min(known), last - limit + 1) if from_id is None else max(from_id, min(known))
        present = (known[trade_id] for trade_id in range(first, last + 1) if trade_id in known)
        return list(islice(present, limit))

    def recent(self, symbol: VenueSymbol, limit: int) -> list[VenueTrade]:
        """The last trades that were played."""
        return self.trades_from(symbol, None, limit)

    def trades_since(self, symbol: VenueSymbol, after_us: int, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades later than `after_us`; only what was played."""
        later = (trade for _, trade in sorted(self._known[symbol.name].items()) if trade.time_us > after_us)
        return list(islice(later, limit))

    def day(self, symbol: VenueSymbol, time_us: int) -> Day | None:
        """Not known of a recording."""
        return None


def _microseconds(time: int) -> int:
    return time if time >= _MICROSECONDS_FROM else time * 1_000


def _e8(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * E8 + int(fraction.ljust(8, "0")[:8] or "0")
