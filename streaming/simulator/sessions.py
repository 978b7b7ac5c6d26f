"""Conversations with WebSocket clients: what each says, what it gets as an answer, and which feeds it then hears.

A session knows no sockets: text in, messages out. The hub delivers. What belongs here: Binance's; Kraken's two are in
kraken_sessions.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from streaming.simulator import binance
from streaming.simulator.desk import Desk
from streaming.simulator.venue import Frame


class Session(Protocol):
    """One client's side of a venue's protocol."""

    venue: str
    streams: frozenset[str]

    def greeting(self) -> list[bytes]:
        """What the venue says first."""

    def on_text(self, payload: bytes) -> list[bytes]:
        """Answers to a client's message; may change `streams`."""

    def heartbeat(self) -> bytes | None:
        """What is sent after a second without anything else, if anything."""

    @property
    def markets(self) -> set[str]:
        """Markets that this client hears of, as venue:BASE-QUOTE."""

    def farewell(self) -> list[bytes]:
        """How the venue announces that it will close."""

    def messages(self, frames: Sequence[Frame]) -> list[bytes]:
        """Frames of this session's streams as the messages that are sent."""


class BinanceSession:
    """Combined streams, by address or by SUBSCRIBE.

    Args:
        desk: the world.
        streams: names as clients write them: btcusdt@trade.
        in_microseconds: whether times are asked for in microseconds.
    """

    venue = "binance"

    def __init__(self, desk: Desk, streams: Sequence[str], *, in_microseconds: bool = False) -> None:
        self._desk = desk
        self._suffix = binance.MICROSECONDS if in_microseconds else ""
        self.streams = frozenset(name + self._suffix for name in streams)

    def greeting(self) -> list[bytes]:
        """Binance says nothing."""
        return []

    def on_text(self, payload: bytes) -> list[bytes]:
        """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS. Unknown streams are taken and stay silent, as there."""
        try:
            request = msgspec.json.decode(payload, type=dict[str, Any])
            names = {str(name) + self._suffix for name in request.get("params") or []}
        except (msgspec.DecodeError, TypeError):
            return [b'{"error":{"code":2,"msg":"Invalid request: request must be a JSON object"}}']
        result: list[str] | None = None
        match request.get("method"):
            case "SUBSCRIBE":
                self.streams |= names
            case "UNSUBSCRIBE":
                self.streams -= names
            case "LIST_SUBSCRIPTIONS":
                result = sorted(name.removesuffix(self._suffix) for name in self.streams)
            case _:
                return [b'{"error":{"code":2,"msg":"Invalid request: unknown method"}}']
        return [msgspec.json.encode({"result": result, "id": request.get("id")})]

    def heartbeat(self) -> bytes | None:
        """Binance has none; pings tell."""
        return None

    @property
    def markets(self) -> set[str]:
        """By the names of its streams."""
        names = {stream.partition("@")[0].upper() for stream in self.streams}
        return {symbol.market for symbol in self._desk.symbols(self.venue) if symbol.name in names}

    def farewell(self) -> list[bytes]:
        """The venue's own event."""
        return [msgspec.json.encode({"e": "serverShutdown", "E": self._desk.now_us() // 1_000})]

    def messages(self, frames: Sequence[Frame]) -> list[bytes]:
        """One message a frame."""
        return [frame.payload for frame in frames]
