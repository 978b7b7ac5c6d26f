"""The past of tracked coins, from CoinGecko into Kafka: the same quotes, topic and lake as those that are polled.

Guarantee: at least once. A repeated backfill writes the same points again; silver.quotes keeps one of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from crypto_intel.contracts.events import Quote
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput
from streaming.producers.budget import Budget
from streaming.producers.coingecko import VENUE
from streaming.producers.coingecko_feed import market_chart
from streaming.producers.http import Key, RequestRefused, VenueHttp
from streaming.producers.polling import Refusals, reason_of
from streaming.producers.run import open_clock, open_sink, patiently
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink
from streaming.producers.voice import Voice


@dataclass
class Brought:
    """What a backfill brought: points that are quotes, points that are none, and coins that failed, with the reason."""

    quotes: int = 0
    rejected: int = 0
    failed: dict[str, str] = field(default_factory=dict)


async def backfill(settings: ProducerSettings, days: int, advance: Callable[[str], None]) -> Brought:
    """Write the quotes of the last `days` of every tracked coin; a request a coin, within CoinGecko's budget.

    Args:
        days: 1 gives points of 5 minutes, up to 90 of an hour, more of a day.
        advance: called with each coin's ticker before it is asked for.

    Raises:
        FatalError: something could not be delivered.
    """
    own = settings.coingecko
    key = Key(own.key_header, own.key) if own.key else None
    http = VenueHttp(own.address, key=key, budget=Budget(VENUE, own.limits(settings.source), settings.data_dir / "run"))
    brought = Brought()
    try:
        async with open_sink(settings, settings.topics.quotes, "backfill") as sink:
            clock = await open_clock(settings, http)
            coins = _Coins(http, sink, clock, days, brought)
            for coin, ticker in own.tickers.items():
                advance(ticker)
                await coins.bring(coin, ticker)
                await sink.flush()
    finally:
        await http.aclose()
    return brought


class _Coins:
    """Asks for one coin after the other; one that fails leaves the others alone."""

    def __init__(self, http: VenueHttp, sink: EventSink, clock: PlatformClock, days: int, brought: Brought) -> None:
        self._http = http
        self._sink = sink
        self._clock = clock
        self._days = days
        self._brought = brought
        self._refusals = Refusals(Voice(VENUE, sink, clock))

    async def bring(self, coin: str, ticker: str) -> None:
        received_at = self._clock.now_us()
        try:
            points = await patiently(
                f"CoinGecko's {coin}", lambda: market_chart(self._http, coin, ticker, self._days, received_at)
            )
        except (RequestRefused, RejectedInput) as error:
            self._brought.failed[ticker] = reason_of(error)
            return
        for point in points:
            if isinstance(point, Quote):
                self._sink.quote(point)
                self._brought.quotes += 1
            else:
                self._refusals.add(str(point).encode(), f"rest market_chart {coin}", point, received_at)
                self._brought.rejected += 1
