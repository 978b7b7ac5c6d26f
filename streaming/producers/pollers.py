"""The polled sources in one process: one Kafka client, one clock and one memory of stories for all of them.

A source that fails goes on failing visibly while the others go on; what would lose data ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog

from crypto_intel.contracts.settings import Topics
from streaming.clock import PlatformClock
from streaming.producers import alphavantage, coingecko, newsapi, rss
from streaming.producers.alphavantage_feed import AlphaVantageSource
from streaming.producers.budget import Budget, Limit
from streaming.producers.coingecko_feed import CoinGeckoSource
from streaming.producers.http import Key, VenueHttp
from streaming.producers.metrics import Watched, feed_metrics
from streaming.producers.newsapi_feed import NewsApiSource
from streaming.producers.polling import Poller, Refusals, Source
from streaming.producers.recent_news import recent_articles
from streaming.producers.rss_feed import RssSource
from streaming.producers.run import open_sink, patiently
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink
from streaming.producers.stories import Stories
from streaming.producers.voice import Voice

_REFRESH_S = 1.0
_AGENT = "crypto-intel"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Shared:
    """What all sources of a process share. `open` closes what it is given when the process ends."""

    settings: ProducerSettings
    sink: EventSink
    clock: PlatformClock
    stories: Stories
    open: AsyncExitStack

    def http(self, url: str, name: str = "", key: Key | None = None, limits: Sequence[Limit] = ()) -> VenueHttp:
        """A client of a venue; `name` names its budget."""
        budget = Budget(name, limits, Path(self.settings.data_dir) / "run") if limits else None
        http = VenueHttp(url, headers={"User-Agent": _AGENT}, key=key, budget=budget)
        self.open.push_async_callback(http.aclose)
        return http


def _newsapi(shared: Shared, refusals: Refusals) -> Source:
    own, source = shared.settings.newsapi, shared.settings.source
    key = Key("X-Api-Key", own.key) if own.key else None
    http = shared.http(own.url, newsapi.VENUE, key, own.limits(source))
    return NewsApiSource(shared.settings, http, shared.sink, shared.stories, refusals)


def _rss(shared: Shared, refusals: Refusals) -> Source:
    feeds = {name: shared.http(url) for name, url in shared.settings.rss.named.items()}
    return RssSource(shared.settings, feeds, shared.sink, shared.stories, refusals)


def _coingecko(shared: Shared, refusals: Refusals) -> Source:
    own, source = shared.settings.coingecko, shared.settings.source
    key = Key(own.key_header, own.key) if own.key else None
    http = shared.http(own.address, coingecko.VENUE, key, own.limits(source))
    return CoinGeckoSource(shared.settings, http, shared.sink, shared.clock, refusals)


def _alphavantage(shared: Shared, refusals: Refusals) -> Source:
    own, source = shared.settings.alphavantage, shared.settings.source
    key = Key("apikey", own.key, "query") if own.key else None
    http = shared.http(own.url, alphavantage.VENUE, key, own.limits(source))
    return AlphaVantageSource(shared.settings, http, shared.sink, shared.clock, refusals)


SOURCES: dict[str, Callable[[Shared, Refusals], Source]] = {
    newsapi.VENUE: _newsapi,
    rss.VENUE: _rss,
    coingecko.VENUE: _coingecko,
    alphavantage.VENUE: _alphavantage,
}
"""What can be polled, by name."""


def heartbeat_topics(topics: Topics) -> Mapping[str, str]:
    """Where each source's heartbeats go: beside its events."""
    return {
        newsapi.VENUE: topics.news,
        rss.VENUE: topics.news,
        coingecko.VENUE: topics.quotes,
        alphavantage.VENUE: topics.quotes,
    }


def make_pollers(names: Sequence[str], shared: Shared) -> list[Poller]:
    """A poller for each name of SOURCES."""
    pollers = []
    for name in names:
        voice = Voice(name, shared.sink, shared.clock)
        pollers.append(Poller(SOURCES[name](shared, Refusals(voice)), voice, shared.sink, shared.clock))
    return pollers


async def run_pollers(settings: ProducerSettings, names: Sequence[str]) -> None:
    """Poll until cancelled; after a recording's end, wait to be cancelled.

    Raises:
        FatalError: something could not be delivered.
    """
    topics = {name: heartbeat_topics(settings.topics)[name] for name in names}
    async with (
        open_sink(settings, topics, "-".join(names)) as sink,
        _ticking(settings.clock_url) as clock,
        AsyncExitStack() as opened,
    ):
        shared = Shared(settings, sink, clock, await _stories(settings, names), opened)
        log.info("polling", sources=list(names), source=settings.source, stories=len(shared.stories))
        pollers = make_pollers(names, shared)
        with feed_metrics(settings, sink) as shown:
            shown.watch([Watched(poller.voice, every_s=poller.wait_s) for poller in pollers])
            await _all(pollers)
            await asyncio.Event().wait()


async def _stories(settings: ProducerSettings, names: Sequence[str]) -> Stories:
    if not {newsapi.VENUE, rss.VENUE} & set(names):
        return Stories()

    async def read() -> Stories:
        return Stories(await asyncio.to_thread(recent_articles, settings.kafka, settings.topics.news))

    return await patiently("Kafka", read)


async def _all(pollers: Sequence[Poller]) -> None:
    """Run all until each has ended, or the first one raises."""
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _ticking(url: str | None) -> AsyncIterator[PlatformClock]:
    """The platform clock, as soon as it answers, and kept fresh."""
    clock = PlatformClock(url)
    async with httpx.AsyncClient(trust_env=False) as client:
        await patiently("the platform clock", lambda: clock.refresh_async(client))
        task = asyncio.create_task(_refresh(clock, client))
        try:
            yield clock
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _refresh(clock: PlatformClock, client: httpx.AsyncClient) -> None:
    while clock.is_replay and not clock.has_ended:
        await asyncio.sleep(_REFRESH_S)
        await clock.try_refresh(client)
