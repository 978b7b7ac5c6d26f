"""A WebSocket kept alive: connect, watch, hand over before the venue closes, reconnect with capped, jittered waits.

Knows nothing of what frames mean. Silence is told from quiet: after half of `silence_s` without a frame a ping is
sent, and without an answer in the other half the connection is given up; a venue that sends heartbeats is given up
after `silence_s` without a frame, answered pings or not. Before a venue's forced close, or when it announces one, a
second connection is made beside the first; its frames wait until the first one has given its last. What a venue's
close says is passed on: the reason "end of recording" ends the loop for good. The venue's limits on connects and
messages are held across reconnects.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import stamina
import structlog

from streaming.errors import RetryableError
from streaming.producers.limits import RateLimit
from streaming.producers.session import Session, open_session
from streaming.producers.settings import Reconnect
from streaming.producers.settings import Venue as VenueSettings

END_OF_RECORDING = "end of recording"
_LOOKS = 10  # at a silent connection, until it is given up
_TRY_AGAIN_S = 30.0  # a hand-over that failed; the venue still serves the connection that is there

log = structlog.get_logger(__name__)


class FrameHandler(Protocol):
    """What a feed does with its connection; every method runs on the event loop."""

    async def on_connected(self) -> None:
        """Connected; frames may already be arriving through `on_message`."""

    def on_message(self, payload: bytes) -> None:
        """One whole message, in order."""

    def on_overlap(self, payloads: list[bytes]) -> None:
        """First messages of a connection that took over; the one before gave most of what they hold."""

    def on_alive(self, asked_at: float) -> None:
        """The venue answered a ping that was sent at `asked_at` (monotonic): all before it has arrived."""

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone, or could not be made."""


class Endpoint(Protocol):
    """Where to connect, what to say then, and whether the venue is never silent."""

    @property
    def beats(self) -> bool:
        """Whether the venue sends heartbeats."""

    @property
    def url(self) -> str:
        """Address of the WebSocket."""

    def greetings(self) -> Sequence[bytes]:
        """Messages that subscribe."""


@dataclass(frozen=True)
class _Ended:
    reason: str
    lasted_s: float


class Connection:
    """Keeps one connection until the source ends or the task is cancelled.

    Args:
        endpoint: where and how.
        handler: of its messages.
        settings: waits and limits of ours.
        limits: the venue's.
    """

    def __init__(
        self, endpoint: Endpoint, handler: FrameHandler, settings: Reconnect, limits: VenueSettings | None = None
    ) -> None:
        limits = limits or VenueSettings()
        self._endpoint = endpoint
        self._handler = handler
        self._settings = settings
        self._connects = RateLimit(limits.connects, limits.connects_window_s)
        self._messages = RateLimit(limits.messages_per_s, 1.0)
        self._closing = asyncio.Event()
        self.handed_over = 0

    def hand_over(self, detail: str) -> None:
        """The venue will close this connection: make another one beside it."""
        log.info("hand-over", reason=detail)
        self._closing.set()

    async def run(self) -> None:
        """Connect, and again after each loss; returns at the end of a recording.

        Raises:
            FatalError: raised by the handler; everything else is retried for ever.
        """
        while not await self._until_steady_or_ended():
            pass

    async def _until_steady_or_ended(self) -> bool:
        """True at the end of a recording, False after a connection that lasted: waits then start anew."""
        settings = self._settings
        async for attempt in stamina.retry_context(
            on=RetryableError,
            attempts=None,
            timeout=None,
            wait_initial=settings.wait_initial_s,
            wait_max=settings.wait_max_s,
            wait_jitter=settings.jitter_s,
        ):
            with attempt:
                ended = await self._serve()
                if ended.reason == END_OF_RECORDING:
                    return True
                if ended.lasted_s < settings.steady_s:
                    raise RetryableError(ended.reason)
        return False

    async def _open(self, *, is_held: bool = False) -> Session:
        if (waited := await self._connects.take()) > 1:
            log.warning("waited for the venue's limit of connects", seconds=round(waited, 1))
        take = None if is_held else self._handler.on_message
        session = await open_session(self._endpoint.url, self._settings, take, self._handler.on_alive)
        await session.greet(self._endpoint.greetings(), self._messages)
        return session

    async def _serve(self) -> _Ended:
        """One connection, and those that took over from it, until the last is gone."""
        try:
            session = await self._open()
        except RetryableError as error:
            self._handler.on_disconnected(str(error))
            raise
        started, reason = time.monotonic(), "stopped"
        preparing = asyncio.create_task(self._handler.on_connected())
        try:
            while (ended := await self._watch(session, preparing)) is None:
                session = await self._take_over(session)
            reason = ended
        except RetryableError as error:
            reason = str(error)
        finally:
            preparing.cancel()
            session.close()
            await asyncio.gather(preparing, session.gone, return_exceptions=True)
            self._handler.on_disconnected(reason)
        return _Ended(reason, time.monotonic() - started)

    async def _watch(self, session: Session, preparing: asyncio.Task[None]) -> str | None:
        """Let the handler prepare while the connection is watched; why it ended, or None when another is due."""
        due = asyncio.create_task(self._due())
        watchers = {due, asyncio.create_task(self._silent(session))} if self._endpoint.beats else {due}
        try:
            pending: set[asyncio.Future[None]] = {session.gone, *watchers}
            await asyncio.wait({*pending, preparing}, return_when=asyncio.FIRST_COMPLETED)
            if preparing.done():
                preparing.result()
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for watcher in watchers - {due}:
                if watcher.done():
                    watcher.result()
            if not session.gone.done():
                return None
            if session.close_reason == END_OF_RECORDING:
                await preparing  # what arrived before the end still waits for it
            return session.ending()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _due(self) -> None:
        """Return when the venue announces its close, or will soon close by its rule."""
        try:
            await asyncio.wait_for(self._closing.wait(), self._settings.hand_over_s)
        except TimeoutError:
            log.info("hand-over", reason="planned")
        self._closing.clear()

    async def _silent(self, session: Session) -> None:
        """Raises RetryableError when nothing came for `silence_s`."""
        limit = self._settings.silence_s
        heard, since = session.messages, time.monotonic()
        while (quiet := time.monotonic() - since) < limit:
            await asyncio.sleep(min(limit - quiet, limit / _LOOKS))
            if session.messages != heard:
                heard, since = session.messages, time.monotonic()
        raise RetryableError(f"no frame for {limit:g} s from a venue that sends heartbeats")

    async def _take_over(self, old: Session) -> Session:
        """Another connection, when the old one has given its last; the old one if none can be made."""
        try:
            new = await self._open(is_held=True)
        except RetryableError as error:
            log.warning("no hand-over yet", reason=str(error))
            asyncio.get_running_loop().call_later(_TRY_AGAIN_S, self._closing.set)
            return old
        await asyncio.wait({old.gone, new.gone}, timeout=self._settings.overlap_s)
        if new.gone.done() or old.close_reason == END_OF_RECORDING:
            new.close()
            return old
        old.close()
        await asyncio.gather(old.gone, return_exceptions=True)
        self._handler.on_overlap(new.release(self._handler.on_message))
        self.handed_over += 1
        return new
