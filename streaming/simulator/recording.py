"""Recordings as a backing: real messages, untouched, in the order in which they were received.

Files are merged as they are read; only trades already played are kept, since REST must know them by id. Trades that the
venue told without ids (Kraken v1) are played, and REST does not have them: an id of ours would be an invention.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import structlog

from streaming.clock import Anchors, time_at, wall_us
from streaming.errors import FatalError
from streaming.recorder.folder import RecordedFile, merged, recorded_files
from streaming.recorder.lines import VENUES, Protocol
from streaming.simulator.replayed import Played, played
from streaming.simulator.venue import Day, Frame, VenueSymbol, VenueTrade

AS_FAST_AS_READ = 1_000_000.0
"""Speed that is told for "as fast as possible": the clock is at the recording's end at once."""

_BATCH_LINES = 2_000  # bounds what one tick sends, and so what clients' buffers take in

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Summary:
    """What a capture holds: receive times of its first and last line, in ns, its symbols and how each venue speaks."""

    start_ns: int
    end_ns: int
    symbols: list[VenueSymbol]
    protocols: list[Protocol]

    @property
    def venues(self) -> set[str]:
        """Venues that speak in it."""
        return {VENUES[protocol] for protocol in self.protocols}


def summarise(files: Iterable[RecordedFile]) -> Summary:
    """Read a capture once to tell its span and symbols.

    Raises:
        FatalError: a file cannot be read, or there is no message in any.
    """
    start, end = 2**63, 0
    symbols: set[VenueSymbol] = set()
    protocols: set[Protocol] = set()
    for file in files:
        for line in file.lines():
            start, end = min(start, line.received_ns), max(end, line.received_ns)
            protocols.add(line.protocol)
            symbol = played(line).symbol
            if symbol:
                symbols.add(symbol)
    if not protocols:
        raise FatalError("the recording holds no message of a venue")
    return Summary(start, end, sorted(symbols, key=lambda symbol: symbol.market), sorted(protocols))


class RecordingBacking:
    """Plays a capture at `speed` times its pace, from when a client of each of its venues has subscribed.

    Args:
        folder: of the capture.
        speed: 0 is as fast as clients read.
        resume_ns: receive time of the last line that an earlier run played; playing goes on behind it.
        wait_s: how long the first venue's client waits for those of the others.
    """

    def __init__(self, folder: Path, speed: float, resume_ns: int | None = None, wait_s: float = 60.0) -> None:
        files = recorded_files(folder)
        self._summary = summarise(files)
        self._speed = speed or AS_FAST_AS_READ
        self._is_paced = speed > 0
        self._wait_s = wait_s
        self._known: dict[VenueSymbol, dict[int, VenueTrade]] = {symbol: {} for symbol in self._summary.symbols}
        self._lines = merged(files)
        self._next = next(self._lines, None)
        self._played_ns = self._summary.start_ns
        self._begun: tuple[int, int] | None = None  # wall and recording time at which this run began to play
        self._missing = set(self._summary.venues)
        self._waits_since: float | None = None
        self._is_behind = False
        if resume_ns is not None:
            self._fast_forward(resume_ns)

    def _fast_forward(self, until_ns: int) -> None:
        while self._next and self._next.received_ns <= until_ns:
            self._play_next()

    @property
    def symbols(self) -> list[VenueSymbol]:
        """Symbols that the capture speaks of."""
        return self._summary.symbols

    @property
    def protocols(self) -> list[Protocol]:
        """How the capture's venues speak."""
        return self._summary.protocols

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
        """The recording's clock: still until it is played, and again behind the end."""
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

    def begin(self, venue: str) -> None:
        """A client of a venue has subscribed: with the last venue's first client the recording's clock starts, once."""
        self._missing.discard(venue)
        self._waits_since = self._waits_since or time.monotonic()
        self._start_if_due()

    def _start_if_due(self) -> None:
        if self._begun is not None or self._waits_since is None:
            return
        if self._missing and time.monotonic() - self._waits_since < self._wait_s:
            return
        if self._missing:
            log.warning("played without a client of", venues=sorted(self._missing))
        self._begun = (wall_us(), self._played_ns // 1000)

    def prepare(self) -> None:
        """Lines are read as they are played."""

    def skip(self) -> None:
        """Nobody listens: a recording that has begun goes on, one that has not waits."""
        self.due(frozenset())

    def due(self, streams: frozenset[str]) -> list[Frame]:
        """Frames of the wanted streams whose time has come, at most one batch."""
        self._start_if_due()
        if self._begun is None:
            return []
        until_ns = time_at(self.anchors, wall_us()) * 1000 + 999 if self._is_paced else self._summary.end_ns
        frames: list[Frame] = []
        for _ in range(_BATCH_LINES):
            if self._next is None or self._next.received_ns > until_ns:
                break
            frame = self._play_next().frame
            if frame.stream in streams:
                frames.append(frame)
        self._is_behind = self._next is not None and self._next.received_ns <= until_ns
        return frames

    def _play_next(self) -> Played:
        assert self._next is not None  # noqa: S101 - callers look first
        line, self._next = self._next, next(self._lines, None)
        self._played_ns = line.received_ns
        message = played(line)
        if message.symbol:
            self._known[message.symbol].update((trade.trade_id, trade) for trade in message.trades)
        return message

    def trades_from(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades from `from_id` on, or the latest ones; only what was played."""
        known = self._known[symbol]
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
        later = (trade for _, trade in sorted(self._known[symbol].items()) if trade.time_us > after_us)
        return list(islice(later, limit))

    def day(self, symbol: VenueSymbol, time_us: int) -> Day | None:
        """Not known of a recording."""
        return None
