"""The WebSocket side: clients, what each subscribed to, and the loop that plays the backing to them.

Back-pressure is TCP's: while a client's buffer is full the player waits, and a client that does not read for
`SLOW_CLIENT_S` is dropped, as venues do. Frames are joined into one write a tick and client: a system call a frame
would cost more than making the frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from streaming.simulator.faults import Faults
from streaming.simulator.ledger import Ledger
from streaming.simulator.venue import Backing, Frame

END_OF_RECORDING = b"end of recording"
"""Reason of the close (code 1000) that says that the source has no more."""

SLOW_CLIENT_S = 60.0  # a broker's outage must not cost a producer its connection at once
_LEDGER_S = 0.5

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

    def __init__(self, streams: frozenset[str], on_change: Callable[[Client, bool], None]) -> None:
        self.streams = streams
        self._on_change = on_change
        self._transport: WSTransport | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._on_change(self, True)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self._can_write.set()
        self._on_change(self, False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Clients of combined streams have nothing to say but goodbye."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """The send buffer has room again."""
        self._can_write.set()

    async def send(self, frames: list[Frame]) -> None:
        """Write the frames of this client's streams; waits while it does not read."""
        wanted = b"".join(text_message(frame.payload) for frame in frames if frame.stream in self.streams)
        if not wanted or self._transport is None or self._transport.is_disconnected:
            return
        self._transport.underlying_transport.write(wanted)
        try:
            await asyncio.wait_for(self._can_write.wait(), SLOW_CLIENT_S)
        except TimeoutError:
            log.warning("client dropped: it does not read", seconds=SLOW_CLIENT_S)
            self.cut()

    def close(self, reason: bytes) -> None:
        """Say goodbye in order, behind all frames."""
        if self._transport and not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.OK, reason)

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self._transport and not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)


class Hub:
    """All clients and the player.

    Args:
        backing: what is played.
        ledger: where everything that was sent is written down.
        faults: applied to frames on their way.
        tick_s: seconds between two batches.
    """

    def __init__(self, backing: Backing, ledger: Ledger, faults: Faults, tick_s: float) -> None:
        self._backing = backing
        self._ledger = ledger
        self._faults = faults
        self._tick_s = tick_s
        self._clients: set[Client] = set()
        self.frames_sent = 0

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def accept(self, request: WSUpgradeRequest) -> Client | None:
        """A listener for `/stream?streams=a@trade/b@trade`; None refuses any other path."""
        target = urlsplit(request.path.decode())
        streams = parse_qs(target.query).get("streams", [""])[0]
        if target.path != "/stream" or not streams:
            return None
        return Client(frozenset(streams.split("/")), self._changed)

    def _changed(self, client: Client, is_connected: bool) -> None:
        if is_connected:
            self._clients.add(client)
            self._backing.begin()
        else:
            self._clients.discard(client)

    def cut(self) -> None:
        """Drop every connection."""
        for client in list(self._clients):
            client.cut()

    async def play(self) -> None:
        """Send what is due, tick by tick, for ever; after the end, tell each client so."""
        while True:
            await self._tick()
            if self._backing.has_ended:
                await self._finish()
            await asyncio.sleep(0 if self._backing.is_behind else self._tick_s)

    async def _tick(self) -> None:
        if not self._clients:
            self._backing.skip()
            return
        streams = frozenset().union(*(client.streams for client in self._clients))
        frames, withheld = self._faults.apply(self._backing.due(streams))
        for _ in range(withheld):
            self._ledger.injected("gap")
        for frame in frames:
            self._account(frame)
        self.frames_sent += len(frames)
        if frames:
            await asyncio.gather(*(client.send(frames) for client in list(self._clients)))

    def _account(self, frame: Frame) -> None:
        if frame.injected:
            self._ledger.injected(frame.injected)
        elif frame.market:
            self._ledger.sent(frame.market, frame.trade_id)

    async def _finish(self) -> None:
        self._ledger.account.ended = True
        for client in list(self._clients):
            client.close(END_OF_RECORDING)

    async def keep_ledger(self) -> None:
        """Write the ledger twice a second, for ever."""
        while True:
            self._ledger.account.position_ns = self._backing.position
            self._ledger.write()
            await asyncio.sleep(_LEDGER_S)
