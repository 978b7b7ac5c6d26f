"""Reads what is new in PostgreSQL, numbers it, and puts it into the outboxes of those who want it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from pydantic import SecretStr

from crypto_intel.serving.api.live.events import Channel, Event, Interest, Outbox, event, key_of
from crypto_intel.serving.database import ROLE, AsyncDatabase, UnavailableError
from crypto_intel.serving.queries import alerts, markets, trust
from crypto_intel.serving.queries.bars import newest_bars

POLL_S = 2.0
"""A change that no NOTIFY told of is seen within this time."""

PAUSE_S = 0.05
"""Between two reads: changes of these 50 ms are read at once, so that ten a second cost ten reads, not hundreds."""

LINGER_S = 60.0
"""How long the hub reads on for nobody, so that a client that comes back finds its place."""

REMEMBERED = 5_000
"""Events kept for those who come back: some minutes of ten busy markets."""

SILENT_S = 30.0
"""A market whose state nobody wrote for so long is told as silent; the stream writes each three seconds."""

CHANNEL_OF: dict[str, Channel] = {"live_markets": "prices", "bars_1m": "bars", "alerts": "alerts", "gaps": "feeds"}
log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Listener:
    """A client as the hub knows it."""

    outbox: Outbox = field(default_factory=Outbox)
    interest: Interest = field(default_factory=Interest)


class Hub:
    """One a process.

    Attributes:
        session: names this hub's numbering; a client that comes back tells it.
        seq: number of the newest event.
        alert_seq: of the newest alert that was told; kept by the database, so it outlives the hub.
        is_fresh: the last read went well.
    """

    def __init__(self, dsn: SecretStr, database: AsyncDatabase) -> None:
        self.session = secrets.token_hex(8)
        self.seq = 0
        self.alert_seq = 0
        self.is_fresh = False
        self._dsn = dsn
        self._database = database
        self._listeners: set[Listener] = set()
        self._recent: deque[Event] = deque(maxlen=REMEMBERED)
        self._state: dict[tuple[str, ...], tuple[Event, Any]] = {}
        self._seen_at: dict[tuple[str, str], tuple[Any, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._empty_since = time.monotonic()

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def join(self, listener: Listener, timeout_s: float = 10) -> None:
        """Begin to tell this listener what it is interested in.

        Raises:
            UnavailableError: the database did not answer in time, so there is nothing to begin with.
        """
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="live hub")
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_s)
        except TimeoutError:
            self.leave(listener)
            raise UnavailableError("nothing could be read") from None

    def leave(self, listener: Listener) -> None:
        """Forget this listener."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._empty_since = time.monotonic()

    async def close(self) -> None:
        """Stop."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def state(self, interest: Interest, channel: Channel) -> list[Event]:
        """The newest event of everything in a channel that is of interest."""
        found = (kept for kept, _ in self._state.values() if kept.channel == channel and interest.covers(kept))
        return sorted(found, key=lambda kept: kept.key)

    def since(self, session: str, seq: int) -> list[Event] | None:
        """Events behind a number; None when this hub cannot know them all."""
        oldest = self._recent[0].seq if self._recent else self.seq + 1
        if session != self.session or not oldest - 1 <= seq <= self.seq:
            return None
        return [kept for kept in self._recent if kept.seq > seq]

    async def _run(self) -> None:
        while self._listeners or time.monotonic() - self._empty_since < LINGER_S:
            try:
                await self._follow()
            except (psycopg.Error, UnavailableError, OSError) as error:
                if self.is_fresh or not self._ready.is_set():
                    log.warning("live updates wait for the database", error=type(error).__name__)
                self.is_fresh = False
                await asyncio.sleep(1)
        # Whoever comes later begins anew: what happened meanwhile is not known.
        self._ready.clear()
        self._recent.clear()
        self._state.clear()
        self.session = secrets.token_hex(8)

    async def _follow(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._dsn.get_secret_value(), autocommit=True, connect_timeout=5, application_name="crypto-intel live"
        )
        async with connection:
            await connection.execute(f"SET ROLE {ROLE}".encode())
            await connection.execute(b"LISTEN crypto_intel_changes")
            await self._begin()
            while self._listeners or time.monotonic() - self._empty_since < LINGER_S:
                told = {n.payload async for n in connection.notifies(timeout=POLL_S, stop_after=1)}
                channels = {CHANNEL_OF[name] for name in told if name in CHANNEL_OF} or set(CHANNEL_OF.values())
                await self._read(channels)
                await asyncio.sleep(PAUSE_S)

    async def _begin(self) -> None:
        if not self._ready.is_set():
            newest = (await self._database.page(alerts.newest_alerts(1))).dicts()
            self.alert_seq = newest[0]["alert_seq"] if newest else 0
        await self._read(set(CHANNEL_OF.values()))
        self._ready.set()

    async def _read(self, channels: set[Channel]) -> None:
        if "prices" in channels:
            self._tell("prices", (await self._database.page(markets.prices())).dicts())
        if "bars" in channels:
            self._tell("bars", (await self._database.page(newest_bars())).dicts())
        if "alerts" in channels:
            await self._read_alerts()
        if channels & {"feeds", "bars"}:
            self._tell("feeds", [self._judged(row) for row in (await self._database.page(trust.feeds())).dicts()])
        self.is_fresh = True

    async def _read_alerts(self) -> None:
        while rows := (await self._database.page(alerts.alerts_after(self.alert_seq))).dicts():
            for row in rows:
                self._emit("alerts", row)
            self.alert_seq = rows[-1]["alert_seq"]

    def _tell(self, channel: Channel, rows: Iterable[dict[str, Any]]) -> None:
        present = set()
        for row in rows:
            key = key_of(channel, row)
            present.add(key)
            kept = self._state.get(key)
            if kept is None or kept[1] != row:
                self._state[key] = (self._emit(channel, row), row)
        for key in [key for key in self._state if key[0] == channel and key not in present]:
            del self._state[key]  # a bar that is no longer among the newest

    def _emit(self, channel: Channel, row: dict[str, Any]) -> Event:
        self.seq += 1
        made = event(self.seq, channel, row)
        self._recent.append(made)
        for listener in self._listeners:
            if listener.interest.covers(made):
                listener.outbox.put(made)
        return made

    def _judged(self, row: dict[str, Any]) -> dict[str, Any]:
        # Times change with every state; a feed is told when what they mean changes.
        market, now = (row["venue"], row["symbol"]), time.monotonic()
        known = self._seen_at.get(market)
        if known is None or known[0] != row["updated_at"]:
            known = self._seen_at[market] = (row["updated_at"], now)
        kept = ("venue", "symbol", "source", "completeness", "coverage_pct", "open_gaps")
        return {name: row[name] for name in kept} | {"state": "silent" if now - known[1] > SILENT_S else "live"}
