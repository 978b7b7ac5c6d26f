"""A venue that does nothing but send: Binance's trade frames at a given rate, or as fast as they are taken.

`python -m crypto_intel_tests.benchmarks.pump RATE TOTAL WS_PORT REST_PORT`. Frames are made and framed beforehand or in
large pieces, so that the reader is what is measured. Prints the wall time of the first and behind the last frame.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import uvloop
from aiohttp import web
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

BASES = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "LTC", "DOT", "AVAX")
PIECE = 500  # frames of one write at full speed
TICK_S = 0.005
_SETTLE_S = 2.0  # the reader asks REST first


def frame(number: int, time_ms: int) -> bytes:
    """The message of the trade of that number; symbols take turns, so ids of each are contiguous."""
    index, trade_id = number % len(BASES), number // len(BASES) + 1
    base = BASES[index]
    payload = (
        f'{{"stream":"{base.lower()}usdt@trade","data":{{"e":"trade","E":{time_ms},"s":"{base}USDT","t":{trade_id},'
        f'"p":"61837.63000000","q":"0.02000000","T":{time_ms},"m":true,"M":true}}}}'
    ).encode()
    return b"\x81\x7e" + len(payload).to_bytes(2) + payload


class Reader(WSListener):
    """The one who is sent to; says when his buffer is full."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self.may_write = asyncio.Event()
        self.may_write.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._pump.connected(self, transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()


class Pump:
    """Sends `total` frames to whoever reads, `rate` a second; 0 is as fast as they are taken."""

    def __init__(self, rate: int, total: int) -> None:
        self._rate = rate
        self._total = total
        self._sending: asyncio.Task[None] | None = None
        self.sent = 0

    def connected(self, reader: Reader, transport: WSTransport) -> None:
        self._reader, self._transport = reader, transport
        self._sending = self._sending or asyncio.create_task(self._send())

    async def _send(self) -> None:
        pieces = [] if self._rate else self._pieces()
        await asyncio.sleep(_SETTLE_S)
        sys.stdout.write(f"first {time.time()}\n")
        sys.stdout.flush()
        if self._rate:
            await self._send_paced()
        for piece in pieces:
            self._transport.underlying_transport.write(piece)
            self.sent += PIECE
            await self._reader.may_write.wait()
        sys.stdout.write(f"last {time.time()}\n")
        sys.stdout.flush()

    def _pieces(self) -> list[bytes]:
        now = int(time.time() * 1000)
        return [
            b"".join(frame(number, now) for number in range(start, start + PIECE))
            for start in range(0, self._total, PIECE)
        ]

    async def _send_paced(self) -> None:
        started = time.monotonic()
        while self.sent < self._total:
            due = min(int((time.monotonic() - started) * self._rate), self._total)
            now = int(time.time() * 1000)
            piece = b"".join(frame(number, now) for number in range(self.sent, due))
            self.sent = due
            self._transport.underlying_transport.write(piece)
            await self._reader.may_write.wait()
            await asyncio.sleep(TICK_S)

    def accept(self, request: WSUpgradeRequest) -> Reader:
        return Reader(self)

    async def exchange_info(self, request: web.Request) -> web.Response:
        fields = ("symbol", "status", "baseAsset", "quoteAsset")
        symbols = [dict(zip(fields, (f"{base}USDT", "TRADING", base, "USDT"), strict=True)) for base in BASES]
        return web.json_response({"symbols": symbols})

    async def trades(self, request: web.Request) -> web.Response:
        index = BASES.index(request.query["symbol"].removesuffix("USDT"))
        there = (self.sent + len(BASES) - 1 - index) // len(BASES)
        limit = int(request.query["limit"])
        first = int(request.query.get("fromId", max(there - limit + 1, 1)))
        now = int(time.time() * 1000)
        return web.json_response([_rest_trade(i, now) for i in range(first, min(first + limit, there + 1))])


def _rest_trade(trade_id: int, time_ms: int) -> dict[str, Any]:
    return {"id": trade_id, "price": "61837.63", "qty": "0.02", "time": time_ms, "isBuyerMaker": True}


async def main(rate: int, total: int, ws_port: int, rest_port: int) -> None:
    """Serve for ever."""
    pump = Pump(rate, total)
    app = web.Application()
    app.router.add_get("/api/v3/exchangeInfo", pump.exchange_info)
    app.router.add_get("/api/v3/historicalTrades", pump.trades)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", rest_port).start()
    await ws_create_server(pump.accept, "127.0.0.1", ws_port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:5])))
