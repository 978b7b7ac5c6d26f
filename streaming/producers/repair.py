"""Missing trades fetched by REST: exactly the missing ones, in order, told with what became of them.

Within `budget_s` a venue that is away, busy or gives nothing is asked again. What stays missing then is open: it is
told as a gap, and fetched by `retry_open` in the background, with growing waits, for `late_s`. Ids that two answers
skip, though they hold later ones, are gone: unrecoverable. Whoever holds a symbol back meanwhile is feed.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

from crypto_intel.contracts.events import Trade
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.gaps import Gap, IdTracker, OpenGaps, newest, oldest, runs, without
from streaming.producers.http import RequestRefused
from streaming.producers.repair_settings import Repair
from streaming.producers.venue import Mark, VenueRest
from streaming.producers.voice import Voice

PAGE = 1_000  # what venues give at most
_MINUTE_US = 60_000_000
_CONCURRENT = 4  # of Binance's weight of 6,000 a minute a page takes 25
_ASK_AGAIN_S, _ASK_AGAIN_MAX_S = 0.2, 3.0
_SURE_S = 0.3  # between two answers that skip the same ids: replicas of a venue lag
_FAILURES = (RetryableError, RequestRefused, TimeoutError)


T = TypeVar("T")


def _waits(first: float, longest: float) -> Iterator[float]:
    while True:
        yield first
        first = min(2 * first, longest)


class Repairer:
    """Fetches what one venue's stream did not give.

    Args:
        settings: budgets and limits.
        rest: the venue's REST.
        clock: the platform's.
        voice: tells gaps and repairs.
        ids: of the feed; follows what is written.
        names: the venue's spelling of our symbols.
        write: takes each trade.
    """

    def __init__(
        self,
        settings: Repair,
        rest: VenueRest,
        clock: PlatformClock,
        voice: Voice,
        *,
        ids: IdTracker,
        names: dict[str, str],
        write: Callable[[Trade], None],
    ) -> None:
        self._settings = settings
        self._rest = rest
        self._clock = clock
        self._voice = voice
        self._ids = ids
        self._names = names
        self._write = write
        self._slots = asyncio.Semaphore(_CONCURRENT)
        self._last_failure: dict[str, str] = {}
        self._late_until = 0.0
        self.open = OpenGaps()

    @asynccontextmanager
    async def _within_budget(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._settings.budget_s), self._slots:
            yield

    async def catch_up(self, symbol: str, joined: asyncio.Future[Mark], wait_s: float) -> None:
        """Write what came to pass since the last id known, or the first history.

        Args:
            symbol: of the market.
            joined: the place behind which the stream has begun, as soon as it is known.
            wait_s: how long to wait for that before the venue is asked instead.
        """
        if symbol not in self._ids.last and not self._wants_history:
            return
        try:
            async with self._within_budget():
                until = await self._until(symbol, joined, wait_s)
            if until is not None and symbol not in self._ids.last:
                await self._first_history(symbol, until.trade_id)
            elif until is not None and (gap := self._ids.missing_up_to(symbol, until.trade_id)):
                await self.fill(symbol, gap)
                self._ids.advance(symbol, until)  # not before: a connection lost meanwhile must find the rest again
        except _FAILURES as error:
            self._complain(symbol, error)

    @property
    def _wants_history(self) -> bool:
        """Of a replay all that was played belongs to it."""
        return self._settings.history_minutes > 0 or self._clock.is_replay

    async def _until(self, symbol: str, joined: asyncio.Future[Mark], wait_s: float) -> Mark | None:
        if wait_s and not joined.done():
            await asyncio.wait([joined], timeout=wait_s)
        if joined.done():
            return joined.result()
        name = self._names[symbol]
        return await self._ask(symbol, lambda: self._rest.latest(name, symbol, self._now()), needs_some=False)

    async def fill(self, symbol: str, gap: Gap) -> None:
        """Tell the gap, fetch it, tell what came; what did not stays open."""
        self._voice.gap(symbol, gap)
        self._late_until = time.monotonic() + self._settings.late_s
        await self._fetch_and_tell(symbol, gap)

    async def _fetch_and_tell(self, symbol: str, gap: Gap) -> None:
        limit = self._settings.limit_ids
        part = newest(gap, limit) if self._rest.seeks_by_id else oldest(gap, limit)
        written: list[Mark] = []
        gone: list[Gap] = []
        try:
            async with self._within_budget():
                await self._fetch(symbol, part, written, gone)
        except _FAILURES as error:
            self._complain(symbol, error)
        self._voice.counts["repaired"] += len(written)
        for found in runs(mark.trade_id for mark in written):
            self._voice.say("repaired", symbol=symbol, ids=found, detail=f"{found.size} trades by REST")
        for lost in gone:
            self._voice.counts["unrecoverable"] += lost.size
            self._voice.say("unrecoverable", symbol=symbol, ids=lost, detail="two answers of the venue skip these ids")
        if missing := list(without(gap, _filled(written, gone))):
            self.open.add(symbol, missing)

    async def _fetch(self, symbol: str, gap: Gap | None, written: list[Mark], gone: list[Gap]) -> None:
        """Write the trades of a gap in order of id; `written` and `gone` grow as it goes."""
        after = gap.before if gap else Mark(0)
        while gap and after.trade_id < gap.last:
            wanted = gap.last - after.trade_id
            page = await self._page(symbol, after, wanted)
            skipped = list(_skipped(page, after, gap.last))
            if skipped:
                await asyncio.sleep(_SURE_S)
                page = _merged(page, await self._page(symbol, after, wanted))
                skipped = list(_skipped(page, after, gap.last))
            for trade in page:
                if trade.trade_id <= gap.last:
                    self._ids.observe(symbol, trade.trade_id, trade.event_time)
                    self._write(trade)
                    written.append(Mark(trade.trade_id, trade.event_time))
            gone += skipped
            after = Mark(page[-1].trade_id, page[-1].event_time)

    async def _page(self, symbol: str, after: Mark, limit: int) -> list[Trade]:
        """Trades behind `after`, at least one."""
        name, limit = self._names[symbol], min(limit, PAGE)
        return await self._ask(
            symbol, lambda: self._rest.behind(name, symbol, self._now(), after, limit), needs_some=True
        )

    async def _ask(self, symbol: str, ask: Callable[[], Awaitable[T]], *, needs_some: bool) -> T:
        """The venue's answer; failures that may pass, and emptiness, are waited out until the budget ends it."""
        waits = _waits(_ASK_AGAIN_S, _ASK_AGAIN_MAX_S)
        while True:
            received_at = self._now()
            try:
                answer = await ask()
                if answer or not needs_some:
                    self._voice.answered()
                    return answer
                self._last_failure[symbol] = "the venue gives none"
            except RejectedInput as error:
                self._last_failure[symbol] = str(error)
                self._voice.reject(b"", f"rest {symbol}", error, received_at)
            except RetryableError as error:
                self._last_failure[symbol] = str(error)
            await asyncio.sleep(next(waits))

    async def _first_history(self, symbol: str, until: int) -> None:
        """The first start: the last minutes before the stream, or all of a replay that was played."""
        minutes = self._settings.history_minutes
        since = 0 if self._clock.is_replay else (self._now() - int(minutes * _MINUTE_US)) // _MINUTE_US * _MINUTE_US
        async with self._within_budget():
            trades = await self._rest.history(
                self._names[symbol],
                symbol,
                self._now(),
                until=until,
                since_us=since,
                limit=self._settings.limit_ids,
            )
        for trade in trades:
            self._ids.observe(symbol, trade.trade_id, trade.event_time)
            self._write(trade)
        for found in runs(trade.trade_id for trade in trades):
            self._voice.say("poll", symbol=symbol, ids=found, detail=f"history: {found.size} trades", stream="history")

    async def retry_open(self) -> None:
        """Fetch what stayed open again, with growing waits; for ever. What is `late_s` old stays open for others."""
        settings = self._settings
        waits = _waits(settings.late_wait_s, settings.late_wait_max_s)
        while True:
            await asyncio.sleep(next(waits))
            if self.open.gaps and time.monotonic() < self._late_until:
                await self.retry_once()
            else:
                waits = _waits(settings.late_wait_s, settings.late_wait_max_s)

    async def retry_once(self) -> None:
        """Fetch all that stayed open again; it was told as a gap before."""
        for symbol in list(self.open.gaps):
            for gap in self.open.take(symbol):
                await self._fetch_and_tell(symbol, gap)

    def _complain(self, symbol: str, error: Exception) -> None:
        failure = self._last_failure.pop(symbol, "")
        spent = f"not done in {self._settings.budget_s:g} s{failure and ': '}{failure}"
        self._voice.complain(symbol, str(error) or spent, is_refused=isinstance(error, RequestRefused))

    def _now(self) -> int:
        return self._clock.now_us()


def _skipped(page: list[Trade], after: Mark, last: int) -> Iterator[Gap]:
    """Ids behind `after` and up to `last` that an answer jumps over: it has later ones."""
    before = after
    for trade in page:
        if before.trade_id >= last:
            return
        if trade.trade_id > before.trade_id + 1:
            yield Gap(before.trade_id + 1, min(trade.trade_id - 1, last), before.event_time)
        before = Mark(trade.trade_id, trade.event_time)


def _filled(written: list[Mark], gone: list[Gap]) -> list[tuple[int, Mark]]:
    """First id and last trade of each run that is dealt with, in order of id."""
    times = dict(written)
    there = [(run.first, Mark(run.last, times[run.last])) for run in runs(times)]
    return sorted([*there, *((run.first, Mark(run.last, run.since)) for run in gone)])


def _merged(first: list[Trade], second: list[Trade]) -> list[Trade]:
    """Trades of two answers, in order, up to where both reach."""
    reach = min(first[-1].trade_id, second[-1].trade_id)
    found = {trade.trade_id: trade for trade in (*first, *second) if trade.trade_id <= reach}
    return [found[trade_id] for trade_id in sorted(found)]
