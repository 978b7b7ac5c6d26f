"""What a feed says of itself: its states, its gaps, and what it could not use."""

from __future__ import annotations

import time
from collections import Counter

import structlog

from crypto_intel.contracts.events import MAX_RAW_BYTES, FeedStatus, Rejected, StatusKind
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput
from streaming.producers.gaps import Gap
from streaming.producers.sink import EventSink

_SAME_REASON_S = 60.0  # a venue that stays away is told once a minute, not at each try

log = structlog.get_logger(__name__)


class Voice:
    """Writes the statuses and rejects of one venue, and knows how the feed is.

    Attributes:
        counts: what was written, missed and refused, by kind.
        messages: that the source gave: frames of a stream, answers to polls.
        heard_at: when the source last gave one, or proved that it is there; monotonic seconds.
        is_connected: whether the stream is there; of a polled source: whether its last poll succeeded.
        is_over: whether a recording was played to its end: silence is right then.

    Args:
        venue: whose feed it is.
        sink: takes the events.
        clock: the platform's.
    """

    def __init__(self, venue: str, sink: EventSink, clock: PlatformClock) -> None:
        self.venue = venue
        self._sink = sink
        self._clock = clock
        self._last_reason = ("", 0.0)
        self._is_in_want = False
        self.counts: Counter[str] = Counter()
        self.messages = 0
        self.heard_at = time.monotonic()
        self.is_connected = False
        self.is_over = False

    def heard(self) -> None:
        """The source gave a message."""
        self.messages += 1
        self.heard_at = time.monotonic()

    def say(
        self,
        status: StatusKind,
        *,
        symbol: str | None = None,
        ids: Gap | None = None,
        detail: str = "",
        stream: str = "trade",
    ) -> None:
        """Write a FeedStatus."""
        self.is_over = self.is_over or status == "ended"
        now = self._clock.now_us()
        self._tell(
            FeedStatus(
                venue=self.venue,
                status=status,
                event_time=now,
                received_at=now,
                stream=stream,
                symbol=symbol,
                first_id=ids.first if ids else None,
                last_id=ids.last if ids else None,
                detail=detail,
            )
        )

    def _tell(self, status: FeedStatus) -> None:
        self._sink.status(status)

    def connected(self, detail: str) -> None:
        """The connection is there; the next loss is told whatever its reason."""
        self._last_reason = ("", 0.0)
        self.is_connected = True
        self.say("connected", detail=detail)

    def disconnected(self, reason: str) -> None:
        """The connection is gone or could not be made; the same reason again only after a while."""
        self.counts["disconnects"] += 1
        self.is_connected = False
        told, when = self._last_reason
        if reason != told or time.monotonic() - when > _SAME_REASON_S:
            self._last_reason = (reason, time.monotonic())
            log.warning("disconnected", venue=self.venue, reason=reason)
            self.say("disconnected", detail=reason)

    def gap(self, symbol: str, gap: Gap, detail: str = "") -> None:
        """Ids are missing."""
        log.warning(
            "gap", venue=self.venue, symbol=symbol, first_id=gap.first, last_id=gap.last, missing=gap.size, why=detail
        )
        self.counts["missing"] += gap.size
        self.say("gap", symbol=symbol, ids=gap, detail=f"{gap.size} trades{detail and ', '}{detail}")

    def complain(self, symbol: str, reason: str, *, is_refused: bool = False) -> None:
        """Trades could not be fetched; `is_refused`: nor will the same request be answered later."""
        log.warning("trades could not be fetched", venue=self.venue, symbol=symbol, reason=reason, refused=is_refused)
        self._is_in_want = True
        self.say("poll", symbol=symbol, detail=f"could not fetch trades: {reason}", stream="rest")

    def answered(self) -> None:
        """The venue's REST gave what was asked; told where it had not before."""
        if self._is_in_want:
            self._is_in_want = False
            self.say("poll", detail="ok: it answers again", stream="rest")

    def reject(self, raw: bytes, place: str, error: RejectedInput, received_at: int) -> None:
        """Input that cannot be used goes to the dead letters, whole."""
        self.counts["rejected"] += 1
        self._sink.reject(
            Rejected(
                stage=self.venue,
                place=place,
                reason=error.reason,
                raw=raw[:MAX_RAW_BYTES],
                received_at=received_at,
                detail=error.detail,
            )
        )
