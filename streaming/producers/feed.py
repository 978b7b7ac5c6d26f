"""A venue's trades and quotes into Kafka, none of the trades lost on the way.

Guarantee: at least once; trades of a symbol are written in order of id, save for what could not be fetched within
the repair budget. A jump of ids, at a reconnect or between two frames, holds the symbol back until REST gave the
missing ones (repair.py); meanwhile no heartbeat speaks for it, so its windows stay open. What stays missing is told
as a gap. Trades without a number (negative ids) pass as they come. Of quotes the newest counts; they may be lost.
Bounds: `MAX_HELD` trades a symbol wait during a repair, one more ends the wait; `MAX_BACKLOG` frames wait while a
connection is prepared.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import structlog

from crypto_intel.contracts.events import Heartbeat, Quote, Trade
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput
from streaming.producers.gaps import Gap, IdTracker
from streaming.producers.guard import JumpGuard, Suspect
from streaming.producers.quotes import QuoteThrottle
from streaming.producers.repair import Repairer
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink
from streaming.producers.venue import Alive, Closing, Mark, Parsed, Snapshot, Venue, VenueRest
from streaming.producers.voice import Voice

MAX_HELD = 200_000
MAX_BACKLOG = 500_000
_TICK_S = 0.05
_REPORT_S = 30.0
_ANSWER_MARGIN_US = 1_000_000  # a venue answers pings past trades that it has not sent yet
_SNAPSHOT_S = 2.0  # a snapshot says where the stream begins, and spares a request

log = structlog.get_logger(__name__)


class TradeFeed:
    """One venue's feed over one connection at a time; a `FrameHandler` of connection.py.

    Args:
        settings: of the producers.
        sink: takes the events.
        clock: the platform's.
        venue: parses frames; knows the markets.
        rest: for what the stream did not give.
        heartbeat_s: feed time between heartbeats.
        last: the last trades that an earlier run wrote.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        sink: EventSink,
        clock: PlatformClock,
        venue: Venue,
        rest: VenueRest,
        *,
        heartbeat_s: float,
        last: dict[str, Mark],
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._venue = venue
        self._rest = rest
        self._heartbeat_us = int(heartbeat_s * 1e6)
        self._symbols = tuple(venue.markets.values())
        self._ids = IdTracker({symbol: last[symbol] for symbol in self._symbols if symbol in last})
        self.voice = Voice(venue.name, sink, clock)
        self.repairer = Repairer(
            settings.repair,
            rest,
            clock,
            self.voice,
            ids=self._ids,
            names={symbol: name for name, symbol in venue.markets.items()},
            write=self._write_fetched,
        )
        self._guard = JumpGuard(settings.repair.max_jump_ids, self._refuse, self._count_anew)
        self._guard.seen = {symbol: mark.trade_id for symbol, mark in self._ids.last.items()}
        self._quotes = QuoteThrottle(settings.quotes_interval_s, sink.quote)
        self._is_ready = False
        self._is_overlap = False
        self._backlog: list[bytes] = []
        self._held: dict[str, list[Trade]] = {}
        self._joined: dict[str, asyncio.Future[Mark]] = {}
        self._repairs: set[asyncio.Task[None]] = set()
        self._feed_time = 0  # venue's time up to which everything was passed on
        self._heartbeat_at = 0
        self.detail = ""
        self.on_closing: Callable[[str], None] = lambda detail: None
        """Called when the venue announces that it will close."""

    @property
    def counts(self) -> Counter[str]:
        """What was written, missed and refused so far."""
        return self.voice.counts

    # --- the connection's events -------------------------------------------------------------------------------------

    async def on_connected(self) -> None:
        """Bring clock and ids up to date, then let frames through."""
        await self.settle()
        await self._clock.refresh_async(self._rest.client)  # a replay's clock starts with the subscription
        self._hold_all()
        backlog, self._backlog = self._backlog, []
        self._is_ready = True
        self.voice.connected(self.detail)
        for payload in backlog:
            self._handle(payload)
        await self._catch_up_all(_SNAPSHOT_S if self._venue.sends_snapshots else 0.0)

    def on_message(self, payload: bytes) -> None:
        """One frame."""
        self.voice.heard()
        if self._is_ready:
            self._handle(payload)
        elif len(self._backlog) < MAX_BACKLOG:
            self._backlog.append(payload)
        else:
            self._backlog.clear()  # REST has them

    def on_overlap(self, payloads: list[bytes]) -> None:
        """The next connection's first frames, most of which the one before gave: only what is new is taken."""
        self._is_overlap = True
        try:
            for payload in payloads:
                self.on_message(payload)
        finally:
            self._is_overlap = False
        self.voice.say("connected", detail="handed over to a new connection")

    def on_alive(self, asked_at: float) -> None:
        """Silence was quiet: the feed's time goes on. Not in a replay, whose simulator may lag its own clock."""
        self.voice.heard_at = max(self.voice.heard_at, asked_at)
        if self._is_ready and not self._clock.is_replay:
            age_us = int((time.monotonic() - asked_at) * 1e6)
            self._feed_time = max(self._feed_time, self._clock.now_us() - age_us - _ANSWER_MARGIN_US)

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone: no more heartbeats until it is back."""
        self._is_ready = False
        self._backlog.clear()  # REST has them
        self._guard.refuse_all()
        self.voice.disconnected(reason)

    # --- frames ------------------------------------------------------------------------------------------------------

    def _handle(self, payload: bytes) -> None:
        received_at = self._clock.now_us()
        try:
            events = self._venue.parse(payload, received_at)
        except RejectedInput as error:
            self.voice.reject(payload, self._venue.place, error, received_at)
            return
        for event in events:
            if type(event) is Trade:
                self._arrived(event, payload)
            else:
                self._take(event, payload)

    def _take(self, event: Parsed, payload: bytes) -> None:
        if isinstance(event, Quote):
            self.counts["quotes"] += 1
            self._quotes.offer(event)
        elif isinstance(event, Snapshot):
            self._take_snapshot(event, payload)
        elif isinstance(event, Alive):
            self.on_alive(time.monotonic())
        elif isinstance(event, Closing):
            self.on_closing(event.detail)
        else:
            self.counts["ignored"] += 1

    def _take_snapshot(self, snapshot: Snapshot, payload: bytes) -> None:
        """Trades that were sent before count once; those that were not fill what was missed."""
        first = snapshot.trades[0]
        self._note_join(first)
        for trade in snapshot.trades:
            if trade.trade_id > self._guard.seen.get(trade.symbol, -1):
                self._arrived(trade, payload)
            else:
                self.counts["repeated"] += 1

    def _arrived(self, trade: Trade, payload: bytes) -> None:
        if trade.trade_id < 0:
            self._write(trade)
            return
        if self._is_overlap and trade.trade_id <= self._guard.seen.get(trade.symbol, -1):
            self.counts["repeated"] += 1
            return
        for admitted in self._guard.admit(trade, payload):
            self._accept(admitted)

    def _accept(self, trade: Trade) -> None:
        held = self._held.get(trade.symbol)
        if held is not None and len(held) < MAX_HELD:
            self._note_join(trade)
            held.append(trade)
            return
        gap = self._ids.observe(trade.symbol, trade.trade_id, trade.event_time)
        if gap is None:
            self._write(trade)
        elif held is not None:  # too many wait already: the gap is told and left to later repair
            self.voice.gap(trade.symbol, gap, "during another repair")
            self.repairer.open.add(trade.symbol, [gap])
            self._write(trade)
        else:
            self._held[trade.symbol] = [trade]
            self._repairs.add(asyncio.create_task(self._repair(trade.symbol, gap)))

    def _note_join(self, trade: Trade) -> None:
        """The stream of a symbol begins with this trade, if nothing of it came before."""
        joined = self._joined.get(trade.symbol)
        if joined is not None and not joined.done():
            joined.set_result(Mark(trade.trade_id - 1, trade.event_time))

    def _write(self, trade: Trade) -> None:
        self._sink.trade(trade)
        self.counts[trade.origin] += 1
        self._feed_time = max(self._feed_time, trade.event_time)

    def _write_fetched(self, trade: Trade) -> None:
        self._guard.reached(trade.symbol, trade.trade_id)
        self._write(trade)

    def _refuse(self, suspect: Suspect) -> None:
        trade = suspect.trade
        detail = f"{trade.symbol} {trade.trade_id} after {self._guard.seen.get(trade.symbol)}, not confirmed"
        self.voice.reject(suspect.payload, self._venue.place, RejectedInput("absurd_id", detail), trade.received_at)

    def _count_anew(self, symbol: str, trade_id: int) -> None:
        log.warning("ids count anew", symbol=symbol, from_id=trade_id, was=self._ids.last.get(symbol))
        self.voice.say("poll", symbol=symbol, detail=f"ids count anew from {trade_id}")
        self._ids.last.pop(symbol, None)

    # --- gaps --------------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait for repairs under way.

        Raises:
            FatalError: one of them ended so.
        """
        while self._repairs:
            done, self._repairs = await asyncio.wait(self._repairs)
            for task in done:
                task.result()

    async def flush(self) -> None:
        """Return when Kafka has what was written.

        Raises:
            FatalError: something could not be delivered.
        """
        self._quotes.flush()
        await self._sink.flush()

    def check(self) -> None:
        """Forget finished repairs; raises what ended them."""
        for task in [task for task in self._repairs if task.done()]:
            self._repairs.discard(task)
            task.result()

    async def _repair(self, symbol: str, gap: Gap) -> None:
        await self.repairer.fill(symbol, gap)
        self._release(symbol)

    def _hold_all(self) -> None:
        self._held = {symbol: [] for symbol in self._symbols}
        self._joined = {symbol: asyncio.get_running_loop().create_future() for symbol in self._symbols}

    async def _catch_up_all(self, wait_s: float) -> None:
        """Every symbol at once; the first unexpected error stops the others and is raised as it is."""
        try:
            async with asyncio.TaskGroup() as group:
                for symbol in self._symbols:
                    group.create_task(self._catch_up(symbol, wait_s))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _catch_up(self, symbol: str, wait_s: float) -> None:
        await self.repairer.catch_up(symbol, self._joined[symbol], wait_s)
        self._release(symbol)

    def _release(self, symbol: str) -> None:
        """Let held trades through; a jump among them holds the rest again."""
        for trade in self._held.pop(symbol, []):
            self._accept(trade)

    # --- what the feed says of itself --------------------------------------------------------------------------------

    def beat(self) -> None:
        """Write a heartbeat, if the feed is alive and its time went on far enough."""
        now = self._clock.now_us()
        event_time = min(self._feed_time, now)
        unsure = self._guard.suspicious
        symbols = tuple(symbol for symbol in self._symbols if symbol not in self._held and symbol not in unsure)
        if not (self._is_ready and symbols) or event_time < self._heartbeat_at:
            return
        self._heartbeat_at = event_time + self._heartbeat_us
        self._sink.heartbeat(Heartbeat(venue=self._venue.name, symbols=symbols, event_time=event_time, received_at=now))

    async def finish(self) -> None:
        """The recording has ended: fetch what is still missing, then say that no more will come.

        Raises:
            FatalError: something could not be delivered.
        """
        await self.settle()
        self._hold_all()
        await self._catch_up_all(0.0)
        await self.settle()
        await self.repairer.retry_once()
        self._quotes.flush()
        await self._clock.refresh_async(self._rest.client)
        await self._sink.flush()
        now = max(self._clock.now_us(), self._feed_time)
        self._sink.heartbeat(
            Heartbeat(venue=self._venue.name, symbols=self._symbols, event_time=now, received_at=now, ended=True)
        )
        self.voice.say("ended", detail="end of recording")
        await self._sink.flush()
        log.info("recording ended", **self.counts)

    async def tick(self) -> None:
        """Heartbeats, waiting quotes, a replay's clock, and a line in the log now and then; for ever."""
        reported = refreshed = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            self._sink.check()
            self.check()
            self._quotes.flush(self._clock.now_us())
            self.beat()
            now = time.monotonic()
            if now - refreshed > 1.0:
                refreshed = now
                await self._clock.try_refresh(self._rest.client)
            if now - reported > _REPORT_S:
                reported = now
                log.info("feed", held=sum(map(len, self._held.values())), **self.counts)
