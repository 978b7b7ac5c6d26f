"""Starts a producer with all that it needs, and stops it in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import stamina
import structlog
from pydantic import SecretStr

from streaming.clock import PlatformClock
from streaming.errors import FatalError, RetryableError
from streaming.producers import binance, newsapi
from streaming.producers.binance import BinanceRest, stream_url
from streaming.producers.binance_feed import BinanceFeed
from streaming.producers.connection import Connection
from streaming.producers.http import VenueHttp
from streaming.producers.kafka import KafkaSink, last_trade_ids
from streaming.producers.newsapi_feed import NewsApiFeed
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def patiently(what: str, call: Callable[[], Awaitable[T]], on_failure: Callable[[str], None] | None = None) -> T:
    """The result of a call that is repeated for ever while it raises RetryableError, with growing waits."""
    async for attempt in stamina.retry_context(
        on=RetryableError, attempts=None, timeout=None, wait_initial=0.2, wait_max=10, wait_jitter=0.5
    ):
        with attempt:
            try:
                return await call()
            except RetryableError as error:
                log.warning("waiting", for_=what, reason=str(error))
                if on_failure:
                    on_failure(str(error))
                raise
    raise AssertionError("unreachable: attempts have no end")


async def run_binance(settings: ProducerSettings) -> None:
    """Stream Binance's trades until cancelled; after a recording's end, wait to be cancelled."""
    async with (
        _sink(settings, settings.topics.trades, binance.VENUE) as sink,
        _http(settings.binance.rest_url, "X-MBX-APIKEY", settings.binance.api_key) as http,
    ):
        clock = await _clock(settings, http)
        feed = await prepare_feed(settings, sink, clock, BinanceRest(http), lambda s: _last_ids(settings, s))
        await stream(settings, feed)
    await asyncio.Event().wait()


async def _last_ids(settings: ProducerSettings, symbols: list[str]) -> dict[str, int]:
    return await asyncio.to_thread(last_trade_ids, settings.kafka, settings.topics.trades, binance.VENUE, symbols)


async def prepare_feed(
    settings: ProducerSettings,
    sink: EventSink,
    clock: PlatformClock,
    rest: BinanceRest,
    last_ids: Callable[[list[str]], Awaitable[dict[str, int]]],
) -> BinanceFeed:
    """A feed that knows which symbols the venue offers and where an earlier run stopped.

    Raises:
        FatalError: the venue offers none of the symbols.
    """
    wanted = settings.binance.markets
    waiting = BinanceFeed(settings, sink, clock, rest, markets={}, last_ids={})
    markets = await patiently("Binance", lambda: rest.offered(wanted), waiting.on_disconnected)
    if not markets:
        raise FatalError(f"Binance offers none of {settings.binance.symbols}")
    known = await patiently("Kafka", lambda: last_ids(list(markets.values())))
    feed = BinanceFeed(settings, sink, clock, rest, markets=markets, last_ids=known)
    if absent := sorted(set(wanted) - set(markets.values())):
        log.warning("symbols not offered by the venue", symbols=absent)
        feed.detail = f"not offered: {', '.join(absent)}"
    log.info("binance", symbols=sorted(markets.values()), resumed=len(known), source=settings.source)
    return feed


async def stream(settings: ProducerSettings, feed: BinanceFeed) -> None:
    """Keep the connection until the recording ends, then finish.

    Raises:
        FatalError: an event could not be delivered.
    """
    connection = Connection(stream_url(settings.binance.ws_url, feed.names), feed, settings.reconnect)
    ticking = asyncio.create_task(feed.tick())
    connected = asyncio.create_task(connection.run())
    try:
        await asyncio.wait([ticking, connected], return_when=asyncio.FIRST_COMPLETED)
        if ticking.done():
            ticking.result()
        await connected
    finally:
        for task in (ticking, connected):
            task.cancel()
        await asyncio.gather(ticking, connected, return_exceptions=True)
    await feed.finish()


async def run_newsapi(settings: ProducerSettings) -> None:
    """Poll NewsAPI until cancelled; after a recording's end, wait to be cancelled."""
    async with (
        _sink(settings, settings.topics.news, newsapi.VENUE) as sink,
        _http(settings.newsapi.url, "X-Api-Key", settings.newsapi.key) as http,
    ):
        clock = await _clock(settings, http)
        await NewsApiFeed(settings, sink, clock, http).run()
    await asyncio.Event().wait()


async def _clock(settings: ProducerSettings, http: VenueHttp) -> PlatformClock:
    clock = PlatformClock(settings.clock_url)
    await patiently("the platform clock", lambda: clock.refresh_async(http.client))
    return clock


@asynccontextmanager
async def _sink(settings: ProducerSettings, feed_topic: str, venue: str) -> AsyncIterator[KafkaSink]:
    """A Kafka sink, flushed at the end however that comes."""

    async def connect() -> KafkaSink:
        return await asyncio.to_thread(
            lambda: KafkaSink(settings.kafka, settings.topics, feed_topic=feed_topic, client_id=f"producer-{venue}")
        )

    sink = await patiently("Kafka", connect)
    try:
        yield sink
    finally:
        await sink.flush()


@asynccontextmanager
async def _http(url: str, key_header: str, key: SecretStr | None) -> AsyncIterator[VenueHttp]:
    http = VenueHttp(url, headers={key_header: key.get_secret_value()} if key else None)
    try:
        yield http
    finally:
        await http.aclose()
