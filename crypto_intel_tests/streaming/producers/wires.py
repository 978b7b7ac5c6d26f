"""A WebSocket server that does what a test says, and a handler that writes down what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server


class Line(WSListener):
    """One connection, from the server's side."""

    def __init__(self, on_open: Callable[[Line], None]) -> None:
        self._on_open = on_open
        self.heard: list[bytes] = []
        self.is_open = True
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._on_open(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_open = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.heard.append(frame.get_payload_as_bytes())

    def send(self, *messages: bytes) -> None:
        assert self.transport is not None
        for message in messages:
            self.transport.send(WSMsgType.TEXT, message)

    def close(self, reason: bytes) -> None:
        assert self.transport is not None
        self.transport.send_close(WSCloseCode.GOING_AWAY, reason)
        self.transport.disconnect()


class Server:
    """Connections in the order in which they were made."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.on_open: Callable[[Line], None] = lambda line: None
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def _opened(self, line: Line) -> None:
        self.lines.append(line)
        self.on_open(line)

    def accept(self, request: WSUpgradeRequest) -> Line:
        return Line(self._opened)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """The server on a free port."""
    server = Server()
    listening = await ws_create_server(server.accept, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        for line in server.lines:
            if line.is_open and line.transport is not None:
                line.transport.disconnect(graceful=False)
        listening.close()


class Endpoint:
    """Where to connect."""

    def __init__(self, url: str, *, beats: bool = False, greetings: tuple[bytes, ...] = ()) -> None:
        self.url = url
        self.beats = beats
        self._greetings = greetings

    def greetings(self) -> tuple[bytes, ...]:
        return self._greetings


class Heard:
    """A `FrameHandler` that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.prepared = asyncio.Event()
        self.prepared.set()

    async def on_connected(self) -> None:
        self.events.append(("connected", None))
        await self.prepared.wait()

    def on_message(self, payload: bytes) -> None:
        self.events.append(("message", payload))

    def on_overlap(self, payloads: list[bytes]) -> None:
        self.events.append(("overlap", payloads))

    def on_alive(self, asked_at: float) -> None:
        self.events.append(("alive", asked_at))

    def on_disconnected(self, reason: str) -> None:
        self.events.append(("disconnected", reason))

    def of(self, kind: str) -> list[object]:
        return [value for name, value in self.events if name == kind]
