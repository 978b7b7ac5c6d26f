"""A real simulator and a real feed over real sockets, with a list where Kafka would be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from crypto_intel.contracts.events import Article, FeedStatus, Heartbeat, Quote, Rejected, Trade
from streaming.clock import PlatformClock
from streaming.producers.feed import TradeFeed
from streaming.producers.http import VenueHttp
from streaming.producers.settings import ProducerSettings
from streaming.producers.trades import maker_of, prepare_feed, stream
from streaming.producers.venue import Mark
from streaming.simulator.app import Simulator
from streaming.simulator.settings import SimulatorOptions, SimulatorSettings


class MemorySink:
    """Keeps events in the order in which they were written."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.flushes = 0

    def trade(self, event: Trade) -> None:
        self.events.append(event)

    def quote(self, event: Quote) -> None:
        self.events.append(event)

    def article(self, event: Article) -> None:
        self.events.append(event)

    def status(self, event: FeedStatus) -> None:
        self.events.append(event)

    def reject(self, event: Rejected) -> None:
        self.events.append(event)

    def heartbeat(self, event: Heartbeat) -> None:
        self.events.append(event)

    def check(self) -> None: ...

    async def flush(self) -> None:
        self.flushes += 1

    def trades(self, symbol: str | None = None) -> list[Trade]:
        return [e for e in self.events if isinstance(e, Trade) and symbol in (None, e.symbol)]

    def quotes(self, symbol: str | None = None) -> list[Quote]:
        return [e for e in self.events if isinstance(e, Quote) and symbol in (None, e.symbol)]

    def ids(self, symbol: str) -> list[int]:
        return [trade.trade_id for trade in self.trades(symbol)]

    def statuses(self, status: str) -> list[FeedStatus]:
        return [e for e in self.events if isinstance(e, FeedStatus) and e.status == status]

    def heartbeats(self) -> list[Heartbeat]:
        return [e for e in self.events if isinstance(e, Heartbeat)]

    def rejected(self) -> list[Rejected]:
        return [e for e in self.events if isinstance(e, Rejected)]


async def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        await asyncio.sleep(0.01)


async def eventually_outside(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """`eventually` for a condition that asks a server and waits for it: this loop goes on meanwhile."""
    until = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < until, "the condition did not come true in time"
        await asyncio.sleep(0.05)


def simulated(tmp_path: Path, **options: Any) -> Simulator:
    """The seeded market on free ports."""
    defaults = {"ws_port": 0, "rest_port": 0, "trades_per_second": 200}
    return Simulator(
        SimulatorSettings(source="sim", data_dir=tmp_path, simulator=SimulatorOptions(**{**defaults, **options}))
    )


def replayed(tmp_path: Path, capture: Path, speed: float = 0) -> Simulator:
    """A recording on free ports."""
    options = SimulatorOptions(ws_port=0, rest_port=0, capture=capture, speed=speed)
    return Simulator(SimulatorSettings(source="replay", data_dir=tmp_path, simulator=options))


def producer_settings(simulator: Simulator, **changes: Any) -> ProducerSettings:
    """Settings of a producer for this simulator."""
    rest = f"http://127.0.0.1:{simulator.rest_port}"
    own = {
        "source": simulator.world.ledger.account.source,
        "clock_url": f"{rest}/sim/clock",
        "binance": {"ws_url": f"ws://127.0.0.1:{simulator.ws_port}", "rest_url": rest, "heartbeat_s": 0.2},
        "kraken": {
            "ws_url": f"ws://127.0.0.1:{simulator.ws_port}/v2",
            "rest_url": rest,
            "heartbeat_s": 0.2,
            "rest_per_s": 100,
        },
        "newsapi": {"url": rest, "key": "simulated"},
        "reconnect": {"wait_initial_s": 0.02, "wait_max_s": 0.2, "jitter_s": 0.05, "silence_s": 1.0, "steady_s": 0.2},
        "repair": {"history_minutes": 0},
    }
    for name, value in changes.items():
        own[name] = {**own[name], **value} if isinstance(value, dict) else value  # type: ignore[dict-item]
    return ProducerSettings.model_validate(own)


@asynccontextmanager
async def feeding(
    settings: ProducerSettings, sink: MemorySink, last: dict[str, Mark] | None = None, venue: str = "binance"
) -> AsyncIterator[tuple[TradeFeed, asyncio.Task[None]]]:
    """A feed that streams in the background; the task ends with the recording."""

    async def known(symbols: list[str]) -> dict[str, Mark]:
        return last or {}

    maker = maker_of(settings, venue)
    http = VenueHttp(maker.rest_url)
    clock = PlatformClock(settings.clock_url)
    await clock.refresh_async(http.client)
    feed, protocol = await prepare_feed(settings, maker, sink, clock, rest=maker.rest(http), known=known)
    task = asyncio.create_task(stream(settings, maker.options, feed, protocol))
    try:
        yield feed, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await http.aclose()


async def inject(simulator: Simulator, **injection: Any) -> None:
    """Ask the simulator for a fault through its page."""
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(f"http://127.0.0.1:{simulator.rest_port}/sim/inject", json=injection)
        response.raise_for_status()
