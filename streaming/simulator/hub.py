"""The WebSocket side: clients, what each subscribed to, and the loop that plays the backing to them.

Back-pressure is TCP's: while a client's buffer is full the player waits, and a client that does not read for
`SLOW_CLIENT_S` is dropped, as venues do. Frames are joined into one write a tick and client: a system call a frame
would cost more than making the frame.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from streaming.simulator.desk import Desk
from streaming.simulator.faults import Faults, Injection, markets_of
from streaming.simulator.kinds import CutStyle
from streaming.simulator.kraken_sessions import KrakenV1Session, KrakenV2Session
from streaming.simulator.sessions import BinanceSession, Session
from streaming.simulator.venue import Frame

END_OF_RECORDING = b"end of recording"
"""Reason of the close (code 1000) that says that the source has no more."""

SLOW_CLIENT_S = 60.0  # a broker's outage must not cost a producer its connection at once
HEARTBEAT_S = 1.0  # how long Kraken is quiet before it says that it is alive
_LEDGER_S = 0.5
_PREPARE_S = 10.0

log = structlog.get_logger(__name__)


def text_message(payload: bytes) -> bytes:
    """An unmasked, unfragmented text message as a server sends it (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


class Client(WSListener):
    """One connection."""

    def __init__(self, session: Session, on_change: Callable[[Client, bool], None]) -> None:
        self.session = session
        self._on_change = on_change
        self._transport: WSTransport | None = None
        self._spoke_at = time.monotonic()
        self._is_mute = False
        self._can_write = asyncio.Event()
        self._can_write.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._write(self.session.greeting())
        self._on_change(self, True)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self._can_write.set()
        self._on_change(self, False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Requests, and goodbyes."""
        if frame.msg_type == WSMsgType.TEXT:
            self._write(self.session.on_text(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """The send buffer has room again."""
        self._can_write.set()

    @property
    def streams(self) -> frozenset[str]:
        """What this client hears."""
        return frozenset() if self._is_mute else self.session.streams

    async def send(self, frames: list[Frame]) -> None:
        """Write the frames of this client's streams, or a heartbeat; waits while it does not read."""
        streams = self.streams
        self._write(self.session.messages([frame for frame in frames if frame.stream in streams]))
        self._keep_alive()
        try:
            await asyncio.wait_for(self._can_write.wait(), SLOW_CLIENT_S)
        except TimeoutError:
            log.warning("client dropped: it does not read", seconds=SLOW_CLIENT_S)
            self.cut()

    def _keep_alive(self) -> None:
        if time.monotonic() - self._spoke_at < HEARTBEAT_S:
            return
        heartbeat = self.session.heartbeat()
        if heartbeat:
            self._write([heartbeat])

    def _write(self, messages: Sequence[bytes]) -> None:
        if not messages or self._is_mute or self._transport is None or self._transport.is_disconnected:
            return
        self._transport.underlying_transport.write(b"".join(map(text_message, messages)))
        self._spoke_at = time.monotonic()

    def close(self, reason: bytes, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Say goodbye in order, behind all frames."""
        if self._transport and not self._transport.is_disconnected:
            self._transport.send_close(code, reason)

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self._transport and not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)

    def end(self, how: CutStyle, seconds: float) -> None:
        """End the connection as a fault asks."""
        if self._transport is None or self._transport.is_disconnected:
            return
        match how:
            case "close":
                self.close(b"", WSCloseCode.GOING_AWAY)
            case "silence":
                self._fall_silent(seconds)
            case "forced":
                self._write(self.session.farewell())
                asyncio.get_running_loop().call_later(seconds, self.close, b"", WSCloseCode.GOING_AWAY)
            case _:
                self._reset()

    def _reset(self) -> None:
        # No time to linger: what is unsent is thrown away and the peer gets an RST.
        assert self._transport is not None  # noqa: S101 - looked at by `end`
        raw = self._transport.underlying_transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def _fall_silent(self, seconds: float) -> None:
        """Neither send nor read: TCP's own keep-alive is all that still answers."""
        assert self._transport is not None  # noqa: S101 - looked at by `end`
        self._is_mute = True
        self._transport.underlying_transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self.cut)


class Hub:
    """All clients and the player.

    Args:
        desk: what is played, and the ledger in which all that was sent is written down.
        faults: applied to frames on their way.
        tick_s: seconds between two batches.
    """

    def __init__(self, desk: Desk, faults: Faults, tick_s: float) -> None:
        self._desk = desk
        self._backing = desk.backing
        self._ledger = desk.ledger
        self._faults = faults
        self._tick_s = tick_s
        self._clients: dict[Client, None] = {}  # oldest first
        self.frames_sent = 0

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def accept(self, request: WSUpgradeRequest) -> Client | None:
        """A listener for a venue's address; None refuses any other path."""
        session = self._session(request.path.decode())
        return Client(session, self._changed) if session else None

    def _session(self, address: str) -> Session | None:
        """The address tells the venue: `/stream?streams=a@trade/b@trade` Binance, `/v2` and `/` Kraken."""
        target = urlsplit(address)
        if target.path == "/v2":
            return KrakenV2Session(self._desk)
        if target.path == "/":
            return KrakenV1Session(self._desk)
        if target.path != "/stream":
            return None
        query = parse_qs(target.query)
        names = [name for name in query.get("streams", [""])[0].split("/") if name]
        in_microseconds = query.get("timeUnit", [""])[0].upper() == "MICROSECOND"
        return BinanceSession(self._desk, names, in_microseconds=in_microseconds)

    def _changed(self, client: Client, is_connected: bool) -> None:
        if is_connected:
            self._clients[client] = None
            self._begin(client)
        else:
            self._clients.pop(client, None)

    def _begin(self, client: Client) -> None:
        if client.streams:
            self._backing.begin(client.session.venue)

    def cut(self) -> None:
        """Drop every connection."""
        for client in list(self._clients):
            client.cut()

    def end(self, injection: Injection) -> None:
        """End the connections that a fault is about; with a symbol, those that hear of it."""
        markets = markets_of(injection, self._backing.symbols)
        for client in list(self._clients):
            if self._concerns(injection, client, markets):
                self._ledger.injected(f"cut:{injection.how}", client.session.venue)
                client.end(injection.how, injection.seconds)

    def _concerns(self, injection: Injection, client: Client, markets: frozenset[str]) -> bool:
        if injection.venue not in (None, client.session.venue):
            return False
        return injection.symbol is None or not markets.isdisjoint(client.session.markets)

    async def play(self) -> None:
        """Send what is due, tick by tick, for ever; after the end, tell each client so."""
        while True:
            await self._tick()
            if self._backing.has_ended:
                await self._finish()
            await asyncio.sleep(0 if self._backing.is_behind else self._tick_s)

    async def _tick(self) -> None:
        streams = frozenset[str]().union(*(client.streams for client in self._clients))
        for client in self._clients:
            self._begin(client)
        if streams:
            frames = self._frames(streams)
        else:
            self._backing.skip()
            frames = []
        await asyncio.gather(*(client.send(share) for client, share in self._shares(frames)))

    def _shares(self, frames: list[Frame]) -> list[tuple[Client, list[Frame]]]:
        """What each client may get: an injected frame goes to one of them only, so that it is refused once."""
        if not any(frame.injected for frame in frames):
            return [(client, frames) for client in self._clients]
        given: dict[str, Client] = {}
        for client in self._clients:
            for stream in client.streams:
                given.setdefault(stream, client)
        return [
            (client, [frame for frame in frames if not frame.injected or given.get(frame.stream) is client])
            for client in self._clients
        ]

    def _frames(self, streams: frozenset[str]) -> list[Frame]:
        """What is due after faults, written down before anything leaves."""
        applied = self._faults.apply(self._backing.due(streams))
        self._ledger.handed_out(applied.frames, applied.faults, self._backing.position)
        self.frames_sent += len(applied.frames)
        return applied.frames

    async def _finish(self) -> None:
        self._ledger.account.ended = True
        for client in list(self._clients):
            client.close(END_OF_RECORDING)

    async def keep_prepared(self) -> None:
        """Have the backing make what will soon be due, for ever."""
        while True:
            await asyncio.to_thread(self._backing.prepare)
            await asyncio.sleep(_PREPARE_S)

    async def keep_ledger(self) -> None:
        """Write the ledger twice a second, for ever."""
        while True:
            self._ledger.account.position_ns = self._backing.position
            self._ledger.write()
            await asyncio.sleep(_LEDGER_S)
