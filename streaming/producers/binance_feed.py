"""Binance's trades into Kafka, none of them lost on the way.

Guarantee: at least once; trades of a symbol are written in order of id, save for what could not be fetched within
the repair budget. A jump of ids, at a reconnect or between two frames, holds the symbol back until REST gave the
missing ones; meanwhile no heartbeat speaks for it, so its windows stay open. What stays missing is told as a gap.
Bounds: `MAX_HELD` trades a symbol wait during a repair; one more ends the wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import structlog

from crypto_intel.contracts.events import MAX_RAW_BYTES, FeedStatus, Heartbeat, Rejected, StatusKind, Trade
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.binance import MAX_PAGE, VENUE, BinanceRest, Ignored, parse_frame
from streaming.producers.gaps import Gap, IdTracker, newest, runs
from streaming.producers.http import RequestRefused
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink

MAX_HELD = 200_000
_MINUTE_US = 60_000_000
_TICK_S = 0.05
_REPORT_S = 30.0
_SAME_REASON_S = 60.0  # a venue that stays away is told once a minute, not at each try
_ANSWER_MARGIN_US = 1_000_000  # a venue answers pings past trades that it has not sent yet
_CONCURRENT_REPAIRS = 4  # of Binance's weight of 6,000 a minute a page takes 25

log = structlog.get_logger(__name__)


class BinanceFeed:
    """One feed over one connection at a time; a `FrameHandler` of connection.py.

    Args:
        settings: of the producers.
        sink: takes the events.
        clock: the platform's.
        rest: for what the stream did not give.
        markets: our symbols by the venue's spelling.
        last_ids: the last trade ids that an earlier run wrote.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        sink: EventSink,
        clock: PlatformClock,
        rest: BinanceRest,
        *,
        markets: dict[str, str],
        last_ids: dict[str, int],
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._rest = rest
        self._markets = markets
        self._names = {symbol: name for name, symbol in markets.items()}
        self._ids = IdTracker({symbol: last_ids[symbol] for symbol in markets.values() if symbol in last_ids})
        self._is_ready = False
        self._backlog: list[bytes] = []
        self._held: dict[str, list[Trade]] = {}
        self._repairs: set[asyncio.Task[None]] = set()
        self._repair_slots = asyncio.Semaphore(_CONCURRENT_REPAIRS)
        self._feed_time = 0  # venue's time up to which everything was passed on
        self._heartbeat_at = 0
        self._last_reason = ("", 0.0)
        self.counts: Counter[str] = Counter()
        self.detail = ""

    @property
    def names(self) -> list[str]:
        """The venue's spellings of the feed's symbols."""
        return list(self._markets)

    # --- the connection's events -------------------------------------------------------------------------------------

    async def on_connected(self) -> None:
        """Bring clock and ids up to date, then let frames through."""
        await self.settle()
        await self._clock.refresh_async(self._rest.client)  # a replay's clock starts with the subscription
        self._held = {symbol: [] for symbol in self._markets.values()}
        backlog, self._backlog = self._backlog, []
        self._is_ready = True
        self._last_reason = ("", 0.0)
        self.say("connected", detail=self.detail)
        for payload in backlog:
            self._handle(payload)
        await self._catch_up_all()

    def on_message(self, payload: bytes) -> None:
        """One frame."""
        if self._is_ready:
            self._handle(payload)
        else:
            self._backlog.append(payload)

    def on_alive(self, asked_at: float) -> None:
        """Silence was quiet: the feed's time goes on. Not in a replay, whose simulator may lag its own clock."""
        if self._is_ready and not self._clock.is_replay:
            age_us = int((time.monotonic() - asked_at) * 1e6)
            self._feed_time = max(self._feed_time, self._clock.now_us() - age_us - _ANSWER_MARGIN_US)

    def on_disconnected(self, reason: str) -> None:
        """The connection is gone: no more heartbeats until it is back."""
        self._is_ready = False
        self._backlog.clear()  # REST has them
        self.counts["disconnects"] += 1
        told, when = self._last_reason
        if reason != told or time.monotonic() - when > _SAME_REASON_S:
            self._last_reason = (reason, time.monotonic())
            log.warning("disconnected", reason=reason)
            self.say("disconnected", detail=reason)

    # --- frames ------------------------------------------------------------------------------------------------------

    def _handle(self, payload: bytes) -> None:
        received_at = self._clock.now_us()
        try:
            event = parse_frame(payload, received_at, self._markets)
        except RejectedInput as error:
            self._reject(payload, "ws combined stream", error, received_at)
            return
        if isinstance(event, Ignored):
            self.counts["ignored"] += 1
        else:
            self._accept(event)

    def _accept(self, trade: Trade) -> None:
        held = self._held.get(trade.symbol)
        if held is not None and len(held) < MAX_HELD:
            held.append(trade)
            return
        gap = self._ids.observe(trade.symbol, trade.trade_id)
        if gap is None:
            self._write(trade)
        elif held is not None:  # too many wait already: the gap is told and left to later repair
            self.say("gap", symbol=trade.symbol, ids=gap, detail=f"{gap.size} trades, during another repair")
            self._write(trade)
        else:
            self._held[trade.symbol] = [trade]
            task = asyncio.create_task(self._repair(trade.symbol, gap))
            self._repairs.add(task)

    def _write(self, trade: Trade) -> None:
        self._sink.trade(trade)
        self.counts[trade.origin] += 1
        self._feed_time = max(self._feed_time, trade.event_time)

    def _reject(self, raw: bytes, place: str, error: RejectedInput, received_at: int) -> None:
        self.counts["rejected"] += 1
        self._sink.reject(
            Rejected(
                stage=VENUE,
                place=place,
                reason=error.reason,
                raw=raw[:MAX_RAW_BYTES],
                received_at=received_at,
                detail=error.detail,
            )
        )

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

    def check(self) -> None:
        """Forget finished repairs; raises what ended them."""
        for task in [task for task in self._repairs if task.done()]:
            self._repairs.discard(task)
            task.result()

    async def _repair(self, symbol: str, gap: Gap) -> None:
        await self._fill(symbol, gap)
        self._release(symbol)

    async def _catch_up_all(self) -> None:
        """Every symbol at once; the first unexpected error stops the others and is raised as it is."""
        try:
            async with asyncio.TaskGroup() as group:
                for symbol in self._markets.values():
                    group.create_task(self._catch_up(symbol))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _catch_up(self, symbol: str) -> None:
        """Write what came to pass since the last id known, or the first history, then let the symbol through."""
        try:
            async with asyncio.timeout(self._settings.repair.budget_s), self._repair_slots:
                until = await self._last_before_stream(symbol)
            if until is not None and symbol not in self._ids.last:
                await self._first_history(symbol, until)
            elif until is not None and (gap := self._ids.missing_up_to(symbol, until)):
                await self._fill(symbol, gap)
                self._ids.last[symbol] = until  # not before: a connection lost meanwhile must find the rest again
        except (RetryableError, RequestRefused, TimeoutError) as error:
            self._complain(symbol, error)
        self._release(symbol)

    async def _last_before_stream(self, symbol: str) -> int | None:
        """The id before the first frame, or the venue's last one if no frame came yet."""
        if held := self._held.get(symbol):
            return held[0].trade_id - 1
        latest = await self._page(symbol, None, limit=1)
        return latest[-1].trade_id if latest else None

    async def _fill(self, symbol: str, gap: Gap) -> None:
        """Tell the gap, fetch it, tell what came."""
        log.warning("gap", symbol=symbol, first_id=gap.first, last_id=gap.last, missing=gap.size)
        self.counts["missing"] += gap.size
        self.say("gap", symbol=symbol, ids=gap, detail=f"{gap.size} trades")
        written: list[int] = []
        try:
            async with asyncio.timeout(self._settings.repair.budget_s), self._repair_slots:
                await self._fetch(symbol, newest(gap, self._settings.repair.limit_ids), written)
        except (RetryableError, RequestRefused, TimeoutError) as error:
            self._complain(symbol, error)
        for found in runs(written):
            self.say("repaired", symbol=symbol, ids=found, detail=f"{found.size} trades by REST")

    async def _fetch(self, symbol: str, gap: Gap | None, written: list[int]) -> None:
        """Write the trades of a gap in order of id; ids go to `written` as they are."""
        next_id = gap.first if gap else 0
        while gap and next_id <= gap.last:
            limit = min(MAX_PAGE, gap.last - next_id + 1)
            page = [t for t in await self._page(symbol, next_id, limit=limit) if next_id <= t.trade_id <= gap.last]
            if not page:
                return  # the venue has no more of them
            for trade in page:
                self._ids.observe(symbol, trade.trade_id)
                self._write(trade)
                written.append(trade.trade_id)
            next_id = page[-1].trade_id + 1

    async def _first_history(self, symbol: str, until: int) -> None:
        """The first start: the last minutes before the stream, or all of a replay that was played."""
        minutes = self._settings.repair.history_minutes
        now = self._clock.now_us()
        since = 0 if self._clock.is_replay else (now - int(minutes * _MINUTE_US)) // _MINUTE_US * _MINUTE_US
        if minutes <= 0 and not self._clock.is_replay:
            return
        async with asyncio.timeout(self._settings.repair.budget_s), self._repair_slots:
            trades = await self._back_from(symbol, until, since)
        for trade in trades:
            self._ids.observe(symbol, trade.trade_id)
            self._write(trade)
        for found in runs(trade.trade_id for trade in trades):
            self.say("poll", symbol=symbol, ids=found, detail=f"history: {found.size} trades", stream="history")

    async def _back_from(self, symbol: str, until: int, since: int) -> list[Trade]:
        """Trades with ids up to `until`, back to `since` at least, in order; at most about the repair limit."""
        found: list[Trade] = []
        while until >= 0 and len(found) < self._settings.repair.limit_ids:
            page = [t for t in await self._page(symbol, max(until - MAX_PAGE + 1, 0)) if t.trade_id <= until]
            found[:0] = page  # older ones of the page too: what the venue handed out is kept
            if not page or page[0].event_time < since:
                break
            until = page[0].trade_id - 1
        return found

    async def _page(self, symbol: str, from_id: int | None, *, limit: int = MAX_PAGE) -> list[Trade]:
        received_at = self._clock.now_us()
        try:
            return await self._rest.trades(self._names[symbol], symbol, received_at, from_id=from_id, limit=limit)
        except RejectedInput as error:
            self._reject(b"", f"rest historicalTrades {symbol} from {from_id}", error, received_at)
            raise RetryableError(f"historicalTrades: {error}") from error

    def _release(self, symbol: str) -> None:
        """Let held trades through; a jump among them holds the rest again."""
        for trade in self._held.pop(symbol, []):
            self._accept(trade)

    def _complain(self, symbol: str, error: Exception) -> None:
        reason = str(error) or f"not done in {self._settings.repair.budget_s:g} s"
        log.warning("trades could not be fetched", symbol=symbol, reason=reason)
        self.say("poll", symbol=symbol, detail=f"could not fetch trades: {reason}", stream="rest")

    # --- what the feed says of itself --------------------------------------------------------------------------------

    def say(
        self,
        status: StatusKind,
        *,
        symbol: str | None = None,
        ids: Gap | None = None,
        detail: str = "",
        stream: str = "trade",
    ) -> None:
        """Write a FeedStatus."""
        now = self._clock.now_us()
        self._sink.status(
            FeedStatus(
                venue=VENUE,
                status=status,
                event_time=now,
                received_at=now,
                stream=stream,
                symbol=symbol,
                first_id=ids.first if ids else None,
                last_id=ids.last if ids else None,
                detail=detail,
            )
        )

    def beat(self) -> None:
        """Write a heartbeat, if the feed is alive and its time went on far enough."""
        now = self._clock.now_us()
        event_time = min(self._feed_time, now)
        symbols = tuple(symbol for symbol in self._markets.values() if symbol not in self._held)
        if not (self._is_ready and symbols) or event_time < self._heartbeat_at:
            return
        self._heartbeat_at = event_time + int(self._settings.binance.heartbeat_s * 1e6)
        self._sink.heartbeat(Heartbeat(venue=VENUE, symbols=symbols, event_time=event_time, received_at=now))

    async def finish(self) -> None:
        """The recording has ended: fetch what is still missing, then say that no more will come.

        Raises:
            FatalError: something could not be delivered.
        """
        await self.settle()
        self._held = {symbol: [] for symbol in self._markets.values()}
        await self._catch_up_all()
        await self.settle()
        await self._clock.refresh_async(self._rest.client)
        await self._sink.flush()
        now = max(self._clock.now_us(), self._feed_time)
        symbols = tuple(self._markets.values())
        self._sink.heartbeat(Heartbeat(venue=VENUE, symbols=symbols, event_time=now, received_at=now, ended=True))
        self.say("ended", detail="end of recording")
        await self._sink.flush()
        log.info("recording ended", **self.counts)

    async def tick(self) -> None:
        """Heartbeats, a replay's clock, and a line in the log now and then; for ever."""
        reported = refreshed = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            self._sink.check()
            self.check()
            self.beat()
            now = time.monotonic()
            if now - refreshed > 1.0:
                refreshed = now
                await self._clock.try_refresh(self._rest.client)
            if now - reported > _REPORT_S:
                reported = now
                log.info("feed", held=sum(map(len, self._held.values())), **self.counts)
