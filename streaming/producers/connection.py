"""One WebSocket connection kept alive: connect, watch, reconnect with capped, jittered waits.

Knows nothing of what frames mean. Silence is told from quiet: after half of `silence_s` without a frame a ping is
sent, and without an answer in the other half the connection is given up. What a venue's close says is passed on: the
reason "end of recording" ends the loop for good.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import stamina
import structlog
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from streaming.errors import RetryableError
from streaming.producers.settings import Reconnect

END_OF_RECORDING = "end of recording"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # beyond it the connection is closed: no venue sends that

log = structlog.get_logger(__name__)


class FrameHandler(Protocol):
    """What a feed does with its connection; every method runs on the event loop."""

    async def on_connected(self) -> None:
        """Connected; frames may already be arriving through `on_message`."""

    def on_message(self, payload: bytes) -> None:
        """One whole message, in order."""

    def on_alive(self, asked_at: float) -> None:
        """The venue answered a ping that was sent at `asked_at` (monotonic): all before it has arrived."""

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone, or could not be made."""


@dataclass(frozen=True)
class _Ended:
    reason: str
    lasted_s: float


class _Listener(WSListener):
    """Puts fragments together and passes messages on; an error of the handler closes and is raised to the loop."""

    def __init__(self, handler: FrameHandler) -> None:
        self._handler = handler
        self._fragments: list[bytes] = []
        self._pinged_at = 0.0
        self.close_reason = ""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            payload = frame.get_payload_as_bytes()
            if frame.fin and not self._fragments:
                self._handler.on_message(payload)
            else:
                self._continue(payload, is_last=frame.fin)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_reason = _close_reason(frame)
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def _continue(self, payload: bytes, *, is_last: bool) -> None:
        self._fragments.append(payload)
        if is_last:
            whole, self._fragments = b"".join(self._fragments), []
            self._handler.on_message(whole)

    def send_user_specific_ping(self, transport: WSTransport) -> None:
        self._pinged_at = time.monotonic()
        transport.send_ping()

    def is_user_specific_pong(self, frame: WSFrame) -> bool:
        if frame.msg_type != WSMsgType.PONG:
            return False
        self._handler.on_alive(self._pinged_at)
        return True


def _close_reason(frame: WSFrame) -> str:
    try:
        return frame.get_close_reason() or f"closed with code {frame.get_close_code()}"
    except (UnicodeDecodeError, ValueError, TypeError):
        return "closed with an unreadable reason"


class Connection:
    """Keeps one connection until the source ends or the task is cancelled.

    Args:
        url: of the WebSocket.
        handler: of its messages.
        settings: waits and limits.
    """

    def __init__(self, url: str, handler: FrameHandler, settings: Reconnect) -> None:
        self._url = url
        self._handler = handler
        self._settings = settings

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
                ended = await self._session()
                if ended.reason == END_OF_RECORDING:
                    return True
                if ended.lasted_s < settings.steady_s:
                    raise RetryableError(ended.reason)
        return False

    async def _session(self) -> _Ended:
        try:
            transport, listener = await self._connect()
        except RetryableError as error:
            self._handler.on_disconnected(str(error))
            raise
        started = time.monotonic()
        reason = "stopped"
        try:
            reason = await self._watch(transport, listener)
        except RetryableError as error:
            reason = str(error)
        finally:
            transport.disconnect(graceful=False)
            self._handler.on_disconnected(reason)
        return _Ended(reason, time.monotonic() - started)

    async def _connect(self) -> tuple[WSTransport, _Listener]:
        half = self._settings.silence_s / 2
        try:
            async with asyncio.timeout(self._settings.handshake_s):
                transport, listener = await ws_connect(
                    lambda: _Listener(self._handler),
                    self._url,
                    websocket_handshake_timeout=self._settings.handshake_s,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=half,
                    auto_ping_reply_timeout=half,
                    max_frame_size=MAX_MESSAGE_BYTES,
                )
        except TimeoutError as error:
            raise RetryableError(f"no handshake within {self._settings.handshake_s:g} s") from error
        except (OSError, WSError) as error:
            raise RetryableError(f"cannot connect: {type(error).__name__} {error}") from error
        assert isinstance(listener, _Listener)  # noqa: S101 - made above
        return transport, listener

    async def _watch(self, transport: WSTransport, listener: _Listener) -> str:
        """Let the handler prepare while the connection is watched; why it ended."""
        preparing = asyncio.create_task(self._handler.on_connected())
        gone = asyncio.create_task(transport.wait_disconnected())
        try:
            await asyncio.wait([preparing, gone], return_when=asyncio.FIRST_COMPLETED)
            if preparing.done():
                preparing.result()
            await gone
            if listener.close_reason == END_OF_RECORDING:
                await preparing  # what arrived before the end still waits for it
        except (OSError, WSError) as error:
            return f"{type(error).__name__} {error}"
        finally:
            for task in (preparing, gone):
                task.cancel()
            await asyncio.gather(preparing, gone, return_exceptions=True)
        return listener.close_reason or "connection lost"
