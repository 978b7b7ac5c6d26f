"""The loop that all polled sources share: ask, say how it went, beat while healthy, end with a recording.

Guarantee: what a source gives is written at least once; what was written is not written again in the same run. A poll
that fails is told and the next one comes in its time, whatever other sources do. Heartbeats carry the time of the last
poll that succeeded, so a poller that fails cannot move anyone's clock.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import structlog

from crypto_intel.contracts.events import Heartbeat
from streaming.clock import PlatformClock
from streaming.errors import FatalError, RejectedInput, RetryableError, StreamingError
from streaming.producers.http import RequestRefused
from streaming.producers.sink import EventSink
from streaming.producers.voice import Voice

SEEN_LIMIT = 50_000
_LEAST_WAIT_S = 0.25  # a fast replay must not poll without pause
_HEARTBEAT_S = 2.0

log = structlog.get_logger(__name__)


class Polled(NamedTuple):
    """What one question brought. `failure` says why it brought nothing; `new` of `total` items were written."""

    stream: str
    new: int = 0
    total: int = 0
    failure: str = ""
    note: str = ""

    @property
    def detail(self) -> str:
        """For people, in the status of the feed."""
        return f"failed: {self.failure}" if self.failure else f"ok: {self.note or f'{self.new} new of {self.total}'}"


class Source(Protocol):
    """A source that is asked from time to time."""

    @property
    def venue(self) -> str:
        """Its name in events."""

    @property
    def stream(self) -> str:
        """What a poll that failed as a whole is told of."""

    @property
    def poll_s(self) -> float:
        """Feed seconds between polls."""

    @property
    def lacks(self) -> str | None:
        """Why it cannot be asked at all, e.g. for want of a key."""

    async def ask(self, asked_at: int) -> list[Polled]:
        """Ask, and write what is new.

        Args:
            asked_at: platform time in microseconds.

        Raises:
            RetryableError, RequestRefused, RejectedInput: nothing was brought, and why.
        """


class Seen:
    """Keys seen before; forgets the oldest beyond its limit."""

    def __init__(self, limit: int = SEEN_LIMIT) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._limit = limit

    def add(self, key: str) -> bool:
        """Whether the key is new."""
        is_new = key not in self._keys
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return is_new


class Refusals:
    """Dead letters of a polled source, each once a run: the same page is seen again at the next poll."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._seen = Seen()

    def add(self, raw: bytes, place: str, error: RejectedInput, received_at: int) -> None:
        """Input that cannot be used."""
        if self._seen.add(hashlib.sha256(error.reason.encode() + raw).hexdigest()):
            self._voice.reject(raw, place, error, received_at)

    @contextmanager
    def of(self, body: bytes, place: str, received_at: int) -> Iterator[None]:
        """Keep a body that is rejected as a whole inside; the venue's own errors are told, not kept."""
        try:
            yield
        except RejectedInput as error:
            if error.reason != "venue_error":
                self.add(body, place, error, received_at)
            raise


def reason_of(error: StreamingError) -> str:
    """What went wrong, without the word that says that the venue said it."""
    if isinstance(error, RejectedInput) and error.reason == "venue_error":
        return error.detail
    return str(error)


class Poller:
    """Keeps asking one source.

    Args:
        source: who is asked.
        voice: of its venue.
        sink: takes heartbeats.
        clock: the platform's; somebody else keeps it fresh.
    """

    def __init__(self, source: Source, voice: Voice, sink: EventSink, clock: PlatformClock) -> None:
        self._source = source
        self.voice = voice
        self._sink = sink
        self._clock = clock
        self._polled_until_us: int | None = None  # None while polls fail
        self._told = ""

    def wait_s(self) -> float:
        """Wall seconds between polls: `poll_s` is feed time, which runs faster in a fast replay."""
        return max(self._source.poll_s / max(self._clock.anchors.speed, 1.0), _LEAST_WAIT_S)

    async def run(self) -> None:
        """Poll until the recording ends; for ever without one.

        Raises:
            FatalError: something could not be delivered.
        """
        while True:
            has_ended = self._clock.has_ended  # read before the poll, so that the last poll sees all
            await self.poll()
            if has_ended and (self._polled_until_us is not None or self._source.lacks):
                await self._finish()
                return
            await self._idle(self.wait_s())

    async def _idle(self, seconds: float) -> None:
        """Wait for the next poll, writing heartbeats; ends early when a recording begins or ends."""
        until = time.monotonic() + seconds
        anchors = self._clock.anchors
        while (left := until - time.monotonic()) > 0:
            self._beat()
            self._sink.check()
            await asyncio.sleep(min(left, _HEARTBEAT_S))
            if (anchors.ended, anchors.speed) != (self._clock.anchors.ended, self._clock.anchors.speed):
                return

    async def poll(self) -> None:
        """Ask once and say how it went.

        Raises:
            FatalError: something could not be delivered.
        """
        asked_at = self._clock.now_us()
        answers = await self._answers(asked_at)
        for answer in answers:
            self.voice.say("poll", stream=answer.stream, detail=answer.detail)
        self._tell(answers)
        is_healthy = not all(answer.failure for answer in answers)
        self._note(answers, is_healthy=is_healthy)
        self._polled_until_us = asked_at if is_healthy else None
        self._beat()

    async def _answers(self, asked_at: int) -> list[Polled]:
        if lacks := self._source.lacks:
            return [Polled(self._source.stream, failure=lacks)]
        try:
            return await self._source.ask(asked_at) or [Polled(self._source.stream)]
        except FatalError:
            raise
        except (RetryableError, RequestRefused, RejectedInput) as error:
            return [Polled(self._source.stream, failure=reason_of(error))]
        except Exception as error:  # a fault of ours in one source must not silence the others
            log.exception("poll failed", venue=self._source.venue)
            return [Polled(self._source.stream, failure=f"fault in the producer: {type(error).__name__}")]

    def _note(self, answers: list[Polled], *, is_healthy: bool) -> None:
        self.voice.counts["items"] += sum(answer.new for answer in answers)
        self.voice.is_connected = is_healthy
        if is_healthy:
            self.voice.heard()

    def _tell(self, answers: list[Polled]) -> None:
        """Log what fails, once each time it changes."""
        failures = [f"{answer.stream}: {answer.failure}" for answer in answers if answer.failure]
        self.voice.counts["failed_polls"] += len(failures)
        told = "; ".join(failures)
        if told and told != self._told:
            log.warning("poll failed", venue=self._source.venue, reason=told)
        elif self._told and not told:
            log.info("polls succeed again", venue=self._source.venue)
        self._told = told

    def _beat(self, *, ended: bool = False) -> None:
        if self._polled_until_us is not None:
            self._sink.heartbeat(
                Heartbeat(
                    venue=self._source.venue,
                    symbols=(),
                    event_time=self._polled_until_us,
                    received_at=self._clock.now_us(),
                    ended=ended,
                )
            )

    async def _finish(self) -> None:
        await self._sink.flush()
        self._beat(ended=True)
        self.voice.say("ended", stream=self._source.stream, detail="end of recording")
        await self._sink.flush()
        log.info("recording ended", venue=self._source.venue, **self.voice.counts)
