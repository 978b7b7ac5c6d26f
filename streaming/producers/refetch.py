"""Trades that stayed missing, fetched by somebody else than the feed: beside a producer that runs, or when it is gone.

What belongs here: one bounded try at ids that were told as gaps, by the same REST clients and the same repairer, into
the same topics with the same keys. What does not: which ids (crypto_intel/core/refetching.py), who asks and when.
Safe beside a producer that fetches the same ids: a trade counts once by its id, and an id is repaired by the first
repair that names it. Nothing here connects to a stream or beats: only the feed may say that it is alive.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from crypto_intel.contracts.events import FeedStatus, Trade
from streaming.clock import PlatformClock
from streaming.producers.gaps import IdTracker
from streaming.producers.kafka import KafkaSink
from streaming.producers.missing import Brought, Missing, Refetched
from streaming.producers.repair import Repairer
from streaming.producers.run import open_http
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink
from streaming.producers.trades import maker_of
from streaming.producers.venue import VenueRest
from streaming.producers.voice import Voice

_MINUTE_US = 60_000_000


class _Listener(Voice):
    """A feed's voice that also notes what is said of the ids under way."""

    def __init__(self, venue: str, sink: EventSink, clock: PlatformClock) -> None:
        super().__init__(venue, sink, clock)
        self.sizes: defaultdict[str, int] = defaultdict(int)
        self.busy = self.refusal = ""
        self._is_in_want = True  # whoever left the gap open may have said that the venue does not answer

    def _tell(self, status: FeedStatus) -> None:
        if status.first_id is not None and status.last_id is not None:
            self.sizes[status.status] += status.last_id - status.first_id + 1
        super()._tell(status)

    def complain(self, symbol: str, reason: str, *, is_refused: bool = False) -> None:
        if is_refused:
            self.refusal = reason
        else:
            self.busy = reason
        super().complain(symbol, reason, is_refused=is_refused)


class Refetcher:
    """One try at a venue's missing trades.

    Args:
        settings: of the producers.
        rest: the venue's REST.
        clock: the platform's.
        sink: takes trades and statuses.
        venue: its name.
    """

    def __init__(
        self, settings: ProducerSettings, rest: VenueRest, clock: PlatformClock, sink: EventSink, venue: str
    ) -> None:
        self._settings = settings
        self._rest = rest
        self._clock = clock
        self._sink = sink
        self._venue = venue

    async def fetch(self, wanted: Sequence[Missing], here: Iterable[Missing] = ()) -> Refetched:
        """Write what the venue gives of `wanted`, in that order, and tell what became of each.

        Stops where the venue is away or busy, or the time of a run is over; goes on with other markets where it refuses
        one.

        Args:
            wanted: ids that were told as missing.
            here: such ids that arrived all the same, though nobody said so: told as repaired, not asked for.

        Raises:
            RetryableError: the venue does not say what it offers.
            FatalError: Kafka did not take an event.
        """
        until = time.monotonic() + self._settings.refetch.budget_s
        voice = _Listener(self._venue, self._sink, self._clock)
        for symbol, gap in here:
            voice.say("repaired", symbol=symbol, ids=gap, detail=f"{gap.size} trades that are here")
        try:
            return await self._in_turn(wanted, voice, until)
        finally:
            await self._sink.flush()

    async def _in_turn(self, wanted: Sequence[Missing], voice: _Listener, until: float) -> Refetched:
        names = await self._names(wanted)
        done, refused = Refetched(), set[str]()
        for missing in (one for one in wanted if one.symbol not in refused):
            voice.busy = voice.refusal = ""
            brought = await self._one(missing, names, voice, until - time.monotonic())
            done.brought.append(brought)
            done.busy, brought.refused = voice.busy, brought.refused or voice.refusal
            if voice.refusal:
                refused.add(missing.symbol)
            if done.busy:
                break
        return done

    async def _names(self, wanted: Sequence[Missing]) -> dict[str, str]:
        if not wanted:
            return {}
        offered = await self._rest.offered(sorted({missing.symbol for missing in wanted}))
        return {symbol: name for name, symbol in offered.items()}

    async def _one(self, missing: Missing, names: dict[str, str], voice: _Listener, left_s: float) -> Brought:
        symbol, gap = missing
        done = Brought(missing)
        if symbol not in names:
            done.refused = "the venue does not offer this market"
        elif not self._rest.seeks_by_id and not gap.since:  # a walk from nowhere takes ids that it skips for lost ones
            done.refused = "no trade before the gap is known, from whose time on it could be sought"
        if done.refused:
            return done

        def write(trade: Trade) -> None:
            self._sink.trade(trade)
            done.minutes.add(trade.event_time // _MINUTE_US * _MINUTE_US)

        settings = self._settings.repair.model_copy(update={"budget_s": max(left_s, 0.001), "limit_ids": gap.size})
        before = dict(voice.sizes)
        repairer = Repairer(
            settings, self._rest, self._clock, voice, ids=IdTracker(), names={symbol: names[symbol]}, write=write
        )
        repairer.open.add(symbol, [gap])
        await repairer.retry_once()
        done.found = voice.sizes["repaired"] - before.get("repaired", 0)
        done.gone = voice.sizes["unrecoverable"] - before.get("unrecoverable", 0)
        return done


async def refetch(
    settings: ProducerSettings, venue: str, wanted: Sequence[Missing], here: Iterable[Missing] = ()
) -> Refetched:
    """`Refetcher.fetch` at the real places that the settings name.

    Raises:
        RetryableError: the venue, Kafka or the platform clock is away.
        FatalError: Kafka did not take an event, or what answers is no platform clock.
    """
    maker = maker_of(_gently(settings), venue)
    sink = await asyncio.to_thread(
        lambda: KafkaSink(
            settings.kafka, settings.topics, feed_topic=settings.topics.trades, client_id=f"refetch-{venue}"
        )
    )
    async with open_http(maker.rest_url, maker.key_header, maker.key) as http:
        clock = PlatformClock(settings.clock_url)
        await clock.refresh_async(http.client)
        return await Refetcher(settings, maker.rest(http), clock, sink, venue).fetch(wanted, here)


def _gently(settings: ProducerSettings) -> ProducerSettings:
    """A part of the rate that the venue takes is left to its producer."""
    kraken = settings.kraken
    slower = kraken.model_copy(update={"rest_per_s": kraken.rest_per_s * settings.refetch.share})
    return settings.model_copy(update={"kraken": slower})
