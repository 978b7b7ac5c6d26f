"""Polled sources over real sockets, against the simulator, with a list where Kafka would be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from crypto_intel.contracts.events import Article
from crypto_intel_tests.streaming.producers.harness import MemorySink, producer_settings
from streaming.clock import PlatformClock
from streaming.producers.pollers import Shared, make_pollers
from streaming.producers.polling import Poller
from streaming.producers.settings import ProducerSettings
from streaming.producers.stories import Stories
from streaming.simulator.app import Simulator
from streaming.simulator.rss import PUBLISHERS


def poll_settings(simulator: Simulator, **changes: Any) -> ProducerSettings:
    """Settings of all polled sources for this simulator."""
    rest = f"http://127.0.0.1:{simulator.rest_port}"
    feeds = ",".join(f"{publisher.name}={rest}/rss/{publisher.key}.xml" for publisher in PUBLISHERS)
    own: dict[str, Any] = {
        "newsapi": {"url": rest, "key": "simulated"},
        "rss": {"feeds": feeds},
        "coingecko": {"url": rest},
        "alphavantage": {"url": rest, "key": "simulated"},
    }
    merged = {name: {**own.get(name, {}), **value} for name, value in changes.items() if isinstance(value, dict)}
    plain = {name: value for name, value in changes.items() if not isinstance(value, dict)}
    base = producer_settings(simulator).model_dump()
    return ProducerSettings.model_validate({**base, **own, **merged, **plain})


@asynccontextmanager
async def polling(
    settings: ProducerSettings, sink: MemorySink, *names: str, stories: Stories | None = None
) -> AsyncIterator[list[Poller]]:
    """A poller for each name, with a clock that is kept fresh as fast as tests need."""
    clock = PlatformClock(settings.clock_url)
    async with AsyncExitStack() as opened, httpx.AsyncClient(trust_env=False) as client:
        await clock.refresh_async(client)
        ticking = asyncio.create_task(_keep(clock, client))
        opened.callback(ticking.cancel)
        yield make_pollers(names, Shared(settings, sink, clock, stories or Stories(), opened))


async def _keep(clock: PlatformClock, client: httpx.AsyncClient) -> None:
    while clock.is_replay:
        await asyncio.sleep(0.05)
        await clock.try_refresh(client)


def begin(simulator: Simulator) -> None:
    """Start a replay's clock, as the first subscription of its venue does."""
    backing = simulator.world.backing
    backing.begin(backing.symbols[0].venue)


def articles(sink: MemorySink) -> list[Article]:
    """All articles that were written."""
    return [event for event in sink.events if isinstance(event, Article)]


def details(sink: MemorySink, status: str = "poll") -> dict[str, str]:
    """The last detail of each stream."""
    return {event.stream: event.detail for event in sink.statuses(status)}


async def poll_all(pollers: Sequence[Poller]) -> None:
    """One poll of each, one after another."""
    for poller in pollers:
        await poller.poll()
