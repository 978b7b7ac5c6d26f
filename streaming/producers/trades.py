"""Puts a venue's trade feed together and runs it; which venues there are stands in MAKERS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from streaming.clock import PlatformClock
from streaming.errors import FatalError
from streaming.producers import binance, kraken
from streaming.producers.binance import Binance
from streaming.producers.binance_rest import BinanceRest
from streaming.producers.coins import Coins
from streaming.producers.connection import Connection
from streaming.producers.feed import TradeFeed
from streaming.producers.http import VenueHttp
from streaming.producers.kraken import Kraken
from streaming.producers.kraken_rest import KrakenRest
from streaming.producers.last_trades import last_trades
from streaming.producers.limits import RateLimit
from streaming.producers.metrics import FeedCollector, Watched, feed_metrics
from streaming.producers.run import hold_to_venue, open_clock, open_http, open_sink, patiently
from streaming.producers.settings import ProducerSettings
from streaming.producers.settings import Venue as VenueSettings
from streaming.producers.sink import EventSink
from streaming.producers.venue import Mark, Venue, VenueRest
from streaming.producers.voice import Voice

LastTrades = Callable[[list[str]], Awaitable[dict[str, Mark]]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Maker:
    """How the parts of a venue are made; `key_header` carries its API key, if it takes one."""

    name: str
    options: VenueSettings
    rest_url: str
    rest: Callable[[VenueHttp], VenueRest]
    venue: Callable[[dict[str, str]], Venue]
    key_header: str = ""
    key: SecretStr | None = None


def _binance(settings: ProducerSettings) -> Maker:
    own = settings.binance
    streams = binance.STREAMS if own.quotes else binance.STREAMS[:1]
    return Maker(
        binance.VENUE,
        own,
        own.rest_url,
        BinanceRest,
        lambda markets: Binance(own.ws_url, markets, streams),
        "X-MBX-APIKEY",
        own.api_key,
    )


def _kraken(settings: ProducerSettings) -> Maker:
    own = settings.kraken
    channels = kraken.CHANNELS if own.quotes else kraken.CHANNELS[:1]
    return Maker(
        kraken.VENUE,
        own,
        own.rest_url,
        lambda http: KrakenRest(http, RateLimit(max(int(own.rest_per_s), 1), max(1 / own.rest_per_s, 1.0))),
        lambda markets: Kraken(own.ws_url, markets, channels),
    )


MAKERS: Mapping[str, Callable[[ProducerSettings], Maker]] = {binance.VENUE: _binance, kraken.VENUE: _kraken}
"""How the parts of each venue are made, by its name."""


def maker_of(settings: ProducerSettings, name: str) -> Maker:
    """The parts of the venue of that name, with its settings."""
    return MAKERS[name](settings)


async def run_trades(settings: ProducerSettings, name: str) -> None:
    """Stream a venue's trades and quotes until cancelled; after a recording's end, wait to be cancelled."""
    maker = maker_of(settings, name)
    coins = Coins(name, maker.options.markets, settings.postgres_dsn, settings.coins_look_s)

    async def known(symbols: list[str]) -> dict[str, Mark]:
        return await asyncio.to_thread(last_trades, settings.kafka, settings.topics.trades, name, symbols)

    async with (
        open_sink(settings, settings.topics.trades, name) as sink,
        open_http(maker.rest_url, maker.key_header, maker.key) as http,
    ):
        clock = await open_clock(settings, http)
        hold_to_venue(clock, http)
        rest = maker.rest(http)
        with feed_metrics(settings, sink) as shown:
            try:
                while not await stream_wanted(
                    settings, maker, coins, sink=sink, clock=clock, rest=rest, known=known, shown=shown
                ):
                    pass
            finally:
                coins.close()
            await asyncio.Event().wait()


async def stream_wanted(
    settings: ProducerSettings,
    maker: Maker,
    coins: Coins,
    *,
    sink: EventSink,
    clock: PlatformClock,
    rest: VenueRest,
    known: LastTrades,
    shown: FeedCollector,
) -> bool:
    """Stream the markets that are wanted now; True at the end of a recording, False when others are wanted.

    Raises:
        FatalError: the venue offers none of them, or an event could not be delivered.
    """
    wanted = await coins.wanted()
    changed = asyncio.create_task(coins.changed(wanted))
    try:
        if not wanted:
            log.warning("no market is tracked", venue=maker.name)
            await changed
            return False
        feed, venue = await prepare_feed(settings, maker, sink, clock, rest=rest, known=known, wanted=wanted)
        shown.watch([Watched(feed.voice, feed.repairer.open)])
        return await _stream_until(changed, settings, maker.options, feed, venue)
    finally:
        changed.cancel()
        await asyncio.gather(changed, return_exceptions=True)


async def _stream_until(
    changed: asyncio.Task[None], settings: ProducerSettings, limits: VenueSettings, feed: TradeFeed, venue: Venue
) -> bool:
    """Keep the connection until the recording ends (True) or other markets are wanted (False).

    The feed of these markets then begins where this one stopped, as after a restart: by the ids in Kafka.

    Raises:
        FatalError: an event could not be delivered.
    """
    streaming = asyncio.create_task(stream(settings, limits, feed, venue))
    try:
        await asyncio.wait({streaming, changed}, return_when=asyncio.FIRST_COMPLETED)
        if streaming.done():
            streaming.result()
            return True
        changed.result()
    finally:
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)
    await feed.settle()  # what is being fetched is fetched, so that the next feed finds it in Kafka
    await feed.flush()
    return False


async def prepare_feed(
    settings: ProducerSettings,
    maker: Maker,
    sink: EventSink,
    clock: PlatformClock,
    *,
    rest: VenueRest,
    known: LastTrades,
    wanted: list[str] | None = None,
) -> tuple[TradeFeed, Venue]:
    """A feed that knows which symbols the venue offers and where an earlier run stopped.

    Args:
        wanted: markets to take; None: those of the settings.

    Raises:
        FatalError: the venue offers none of the symbols.
    """
    wanted = maker.options.markets if wanted is None else wanted
    waiting = Voice(maker.name, sink, clock)
    markets = await patiently(maker.name, lambda: rest.offered(wanted), waiting.disconnected)
    if not markets:
        raise FatalError(f"{maker.name} offers none of {','.join(wanted)}")
    last = await patiently("Kafka", lambda: known(list(markets.values())))
    venue = maker.venue(markets)
    feed = TradeFeed(settings, sink, clock, venue, rest, heartbeat_s=maker.options.heartbeat_s, last=last)
    if absent := sorted(set(wanted) - set(markets.values())):
        log.warning("symbols not offered by the venue", venue=maker.name, symbols=absent)
        feed.detail = f"not offered: {', '.join(absent)}"
    log.info("feed", venue=maker.name, symbols=sorted(markets.values()), resumed=len(last), source=settings.source)
    return feed, venue


async def stream(settings: ProducerSettings, limits: VenueSettings, feed: TradeFeed, venue: Venue) -> None:
    """Keep the connection until the recording ends, then finish.

    Raises:
        FatalError: an event could not be delivered.
    """
    connection = Connection(venue, feed, settings.reconnect, limits)
    feed.on_closing = connection.hand_over
    connected = asyncio.create_task(connection.run())
    background = [asyncio.create_task(feed.tick()), asyncio.create_task(feed.repairer.retry_open())]
    try:
        await asyncio.wait([connected, *background], return_when=asyncio.FIRST_COMPLETED)
        for task in background:
            if task.done():
                task.result()
        await connected
    finally:
        for task in (connected, *background):
            task.cancel()
        await asyncio.gather(connected, *background, return_exceptions=True)
    await feed.finish()
