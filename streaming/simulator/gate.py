"""The WebSocket port: open, or deaf. A deaf port takes connections and never answers, as a stalled venue does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from picows import WSListener, WSUpgradeRequest, ws_create_server

Accept = Callable[[WSUpgradeRequest], WSListener | None]


class _Deaf(asyncio.Protocol):
    """A connection that nobody answers."""

    def __init__(self, connections: set[asyncio.BaseTransport]) -> None:
        self._connections = connections
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport:
            self._connections.discard(self._transport)


class Gate:
    """Owns the listening socket.

    Args:
        accept: makes a listener of a request, or refuses it with None.
        host: to listen on.
        port: to listen on; 0 takes a free one and keeps it.
    """

    def __init__(self, accept: Accept, host: str, port: int) -> None:
        self._accept = accept
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._stalled = asyncio.Lock()
        self.is_deaf = False

    async def open(self) -> None:
        """Listen and answer."""
        self._server = await ws_create_server(self._accept, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening; connections live on."""
        if self._server:
            self._server.close()
            self._server = None

    async def stall(self, seconds: float) -> None:
        """Leave new connections unanswered for so long; requests for it follow each other."""
        async with self._stalled:
            connections: set[asyncio.BaseTransport] = set()
            self.close()
            loop = asyncio.get_running_loop()
            deaf = await loop.create_server(lambda: _Deaf(connections), self._host, self.port)
            self.is_deaf = True
            try:
                await asyncio.sleep(seconds)
            finally:
                deaf.close()
                for transport in list(connections):
                    transport.close()
                await self.open()
                self.is_deaf = False
