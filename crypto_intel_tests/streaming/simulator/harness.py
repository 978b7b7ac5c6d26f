"""A running simulator on free ports, and a plain WebSocket client that keeps what it hears."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from streaming.simulator.app import Simulator
from streaming.simulator.settings import SimulatorOptions, SimulatorSettings


async def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def simulated(tmp_path: Path, **options: Any) -> Simulator:
    """The seeded markets on free ports."""
    defaults = {"ws_port": 0, "rest_port": 0, "trades_per_second": 200}
    return Simulator(
        SimulatorSettings(source="sim", data_dir=tmp_path, simulator=SimulatorOptions(**{**defaults, **options}))
    )


def replayed(tmp_path: Path, capture: Path, speed: float = 0, **options: Any) -> Simulator:
    """A recording on free ports."""
    own = SimulatorOptions(ws_port=0, rest_port=0, capture=capture, speed=speed, **options)
    return Simulator(SimulatorSettings(source="replay", data_dir=tmp_path, simulator=own))


def rest_client(simulator: Simulator) -> httpx.AsyncClient:
    """A client of its REST pages."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.rest_port}", trust_env=False)


class Listener(WSListener):
    """Keeps every message, and how the connection ended."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.close_reason: str | None = None
        self.is_connected = True
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_connected = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.raw.append(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_reason = frame.get_close_message() or ""
            transport.disconnect()

    def say(self, message: Any) -> None:
        """Send a message as JSON, or text as it is."""
        assert self.transport is not None
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.transport.send(WSMsgType.TEXT, payload)

    @property
    def messages(self) -> list[Any]:
        """Every message, parsed."""
        return [json.loads(raw) for raw in self.raw]

    def trades(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Trades of Kraken's v2 messages."""
        heard = [m for m in self.messages if isinstance(m, dict) and m.get("channel") == "trade"]
        return [trade for m in heard if kind in (None, m["type"]) for trade in m["data"]]


@asynccontextmanager
async def listening(simulator: Simulator, path: str) -> AsyncIterator[Listener]:
    """A client of a venue's address."""
    transport, listener = await ws_connect(Listener, f"ws://127.0.0.1:{simulator.ws_port}{path}")
    assert isinstance(listener, Listener)
    try:
        yield listener
    finally:
        transport.disconnect()


async def inject(simulator: Simulator, **injection: Any) -> httpx.Response:
    """Ask the simulator for a fault through its page."""
    async with rest_client(simulator) as client:
        return await client.post("/sim/inject", json=injection)
