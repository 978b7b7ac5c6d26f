"""One open WebSocket: its listener, how it is opened, what its end was. Who opens the next one is connection.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from streaming.errors import RetryableError
from streaming.producers.limits import RateLimit
from streaming.producers.settings import Reconnect

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # beyond it the connection is closed: no venue sends that
MAX_WAITING = 200_000  # messages of a connection that waits for its turn; then it is given up


class _Listener(WSListener):
    """Puts fragments together and passes messages on; an error of the handler closes and is raised to the loop.

    Without a handler it keeps them from the very first, which may come before the opener hears of the connection.
    """

    def __init__(self, take: Callable[[bytes], None] | None, on_alive: Callable[[float], None]) -> None:
        self.take = take or self._keep
        self.waiting: list[bytes] = []
        self._on_alive = on_alive
        self._fragments: list[bytes] = []
        self._pinged_at = 0.0
        self.close_reason = ""
        self.messages = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self.messages += 1
            payload = frame.get_payload_as_bytes()
            if frame.fin and not self._fragments:
                self.take(payload)
            else:
                self._continue(payload, is_last=frame.fin)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_reason = _close_reason(frame)
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def _continue(self, payload: bytes, *, is_last: bool) -> None:
        self._fragments.append(payload)
        if sum(map(len, self._fragments)) > MAX_MESSAGE_BYTES:
            raise RetryableError(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
        if is_last:
            whole, self._fragments = b"".join(self._fragments), []
            self.take(whole)

    def _keep(self, payload: bytes) -> None:
        if len(self.waiting) >= MAX_WAITING:
            raise RetryableError(f"{MAX_WAITING} messages wait for the other connection's end")
        self.waiting.append(payload)

    def send_user_specific_ping(self, transport: WSTransport) -> None:
        self._pinged_at = time.monotonic()
        transport.send_ping()

    def is_user_specific_pong(self, frame: WSFrame) -> bool:
        if frame.msg_type != WSMsgType.PONG:
            return False
        self._on_alive(self._pinged_at)
        return True


def _close_reason(frame: WSFrame) -> str:
    try:
        return frame.get_close_reason() or f"closed with code {frame.get_close_code()}"
    except (UnicodeDecodeError, ValueError, TypeError):
        return "closed with an unreadable reason"


class Session:
    """An open connection. `messages` counts what arrived; `close_reason` is what the venue said at its end."""

    def __init__(self, transport: WSTransport, listener: _Listener) -> None:
        self._transport = transport
        self._listener = listener
        self.gone = asyncio.ensure_future(transport.wait_disconnected())

    @property
    def messages(self) -> int:
        """How many messages arrived."""
        return self._listener.messages

    @property
    def close_reason(self) -> str:
        """What the venue's close frame said; empty without one."""
        return self._listener.close_reason

    def release(self, take: Callable[[bytes], None]) -> list[bytes]:
        """Pass messages on from now; those that were kept are returned."""
        self._listener.take = take
        waiting, self._listener.waiting = self._listener.waiting, []
        return waiting

    def close(self) -> None:
        """Close without waiting for the venue."""
        self._transport.disconnect(graceful=False)
        self.gone.cancel()

    async def greet(self, greetings: Sequence[bytes], budget: RateLimit) -> None:
        """Send what subscribes, as fast as the venue allows."""
        for greeting in greetings:
            await budget.take()
            self._transport.send(WSMsgType.TEXT, greeting)

    def ending(self) -> str:
        """Why a connection that is gone ended; for use behind `gone`.

        Raises:
            Exception: what the handler of messages raised.
        """
        try:
            self.gone.result()
        except (OSError, WSError, RetryableError) as error:
            return str(error) if isinstance(error, RetryableError) else f"{type(error).__name__} {error}"
        return self.close_reason or "connection lost"


async def open_session(
    url: str, settings: Reconnect, take: Callable[[bytes], None] | None, on_alive: Callable[[float], None]
) -> Session:
    """Connect. Without `take` the connection keeps its messages until `release`.

    Raises:
        RetryableError: it cannot be made now.
    """
    half = settings.silence_s / 2
    connecting: Awaitable[tuple[WSTransport, WSListener]] = ws_connect(
        lambda: _Listener(take, on_alive),
        url,
        websocket_handshake_timeout=settings.handshake_s,
        enable_auto_ping=True,
        auto_ping_idle_timeout=half,
        auto_ping_reply_timeout=half,
        max_frame_size=MAX_MESSAGE_BYTES,
    )
    try:
        async with asyncio.timeout(settings.handshake_s):
            transport, listener = await connecting
    except TimeoutError as error:
        raise RetryableError(f"no handshake within {settings.handshake_s:g} s") from error
    except (OSError, WSError) as error:
        raise RetryableError(f"cannot connect: {type(error).__name__} {error}") from error
    if not isinstance(listener, _Listener):  # the library does not say so itself
        raise RetryableError("closed before the handshake was answered")
    return Session(transport, listener)
