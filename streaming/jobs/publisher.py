"""From a query's batch to what is served: PostgreSQL (or Supabase) first, then Kafka's alerts, then Redis.

Guarantee: what PostgreSQL has is effectively once (its guard row), alerts on Kafka are at least once (an outbox that
is emptied after each batch), Redis is best effort and rebuilt from PostgreSQL when it was away. A store that is away
makes the calling query wait, with pauses that grow to MAX_PAUSE_S; nothing else waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl
import redis
import stamina
import structlog
from pydantic import SecretStr

from crypto_intel.contracts.events import Alert
from streaming import failpoints
from streaming.clock import PlatformClock
from streaming.errors import RetryableError
from streaming.settings import StreamingSettings
from streaming.sinks.alerts import AlertRelay
from streaming.sinks.metrics import SinkMetrics
from streaming.sinks.postgres import Upsert
from streaming.sinks.redis import RedisSink
from streaming.sinks.supabase import ServingSink, make_sink

MAX_PAUSE_S = 10.0
"""Longest pause between two tries: a store that is back is used within that time."""

log = structlog.get_logger()


class Publisher:
    """Publishes batches of any number of queries, each from its own thread.

    Args:
        make_sink: (query, epoch) -> where its batches go.
        relay: sends alerts to Kafka.
        cache: Redis, or nothing.
        dsn: of PostgreSQL, to rebuild the cache from.
        clock: platform clock.
        stopping: set when the application ends; a wait then gives up.
        metrics: told of what was written and what failed.
    """

    def __init__(
        self,
        make_sink: Callable[[str, str], ServingSink],
        *,
        relay: AlertRelay,
        cache: RedisSink,
        dsn: SecretStr | None,
        clock: PlatformClock,
        stopping: threading.Event,
        metrics: SinkMetrics | None = None,
    ) -> None:
        self._metrics = metrics or SinkMetrics()
        self._make_sink = make_sink
        self._relay = relay
        self._cache = cache
        self._dsn = dsn
        self._clock = clock
        self._stopping = stopping
        self._sinks: dict[tuple[str, str], ServingSink] = {}
        self._is_cache_stale = True
        self._lock = threading.Lock()

    @classmethod
    def from_settings(
        cls, settings: StreamingSettings, stopping: threading.Event, metrics: SinkMetrics | None = None
    ) -> Publisher:
        """The publisher that the settings name.

        Raises:
            FatalError: neither PostgreSQL nor a Supabase project is named.
        """
        make_sink(settings, query="start", epoch="").close()  # a setting that is missing shows now, not in a batch
        return cls(
            lambda query, epoch: make_sink(settings, query=query, epoch=epoch),
            relay=AlertRelay(settings.kafka, settings.topics.alerts),
            cache=RedisSink(settings.redis_url),
            dsn=settings.postgres_dsn,
            clock=PlatformClock(settings.clock_url),
            stopping=stopping,
            metrics=metrics,
        )

    def now_us(self) -> int:
        """Platform time in microseconds: the newest that the source told, if it is a replay."""
        try:
            self._clock.refresh()
        except RetryableError:
            log.debug("platform clock does not answer; its last anchors are used")
        return self._clock.now_us()

    def publish(
        self,
        query: str,
        epoch: str,
        batch_id: int,
        frames: Mapping[str, pl.DataFrame],
        *,
        alerts: Sequence[Alert] = (),
        refresh_enriched: pl.DataFrame | None = None,
        feed_status: pl.DataFrame | None = None,
        only_new: Collection[str] = (),
    ) -> None:
        """Publish a batch, waiting for stores that are away.

        Args:
            epoch: the query's id, which names its checkpoint.
            frames: rows by served table.
            only_new: served tables whose rows stay when they are there.

        Raises:
            RetryableError: the application stops while a store is away; the batch is repeated at the next start.
            FatalError: the rows do not fit.
        """
        sink = self._sink(query, epoch)
        upserts = [Upsert(table, frame, table in only_new) for table, frame in frames.items()]
        known_at = datetime.fromtimestamp(self.now_us() / 1e6, UTC)
        self._until_done(
            "postgres",
            lambda: sink.publish(
                batch_id,
                upserts,
                alerts=alerts,
                refresh_enriched=refresh_enriched,
                known_at=known_at,
                feed_status=feed_status,
            ),
        )
        for upsert in upserts:
            self._metrics.wrote("postgres", upsert.table, upsert.frame.height)
        failpoints.reach(f"{query}:postgres")
        if alerts or batch_id % 30 == 0:  # what a crash left behind is sent as well
            self._until_done("kafka", lambda: self._send_alerts(sink))
        if alerts:
            failpoints.reach(f"{query}:alerts")
        self._show(upserts, alerts)
        failpoints.reach(f"{query}:redis")

    def _sink(self, query: str, epoch: str) -> ServingSink:
        # Each query calls from a thread of its own with its own key, so no two make the same one.
        if (query, epoch) not in self._sinks:
            self._sinks[query, epoch] = self._make_sink(query, epoch)
        return self._sinks[query, epoch]

    def _send_alerts(self, sink: ServingSink) -> None:
        with self._lock:
            try:
                self._metrics.alerts_sent(self._relay.send_pending(sink))
            except RetryableError:
                self._metrics.alerts_failed()
                raise

    def _show(self, upserts: Sequence[Upsert], alerts: Sequence[Alert]) -> None:
        began = time.monotonic()
        if not self._cache.publish(upserts, alerts=alerts):
            self._is_cache_stale = True
            if self._cache.is_used:
                self._metrics.failed("redis")
            return
        self._metrics.took("redis", time.monotonic() - began)
        # What was skipped while it was away, or emptied by somebody, comes back from PostgreSQL.
        if (self._is_cache_stale or not self._cache.is_whole) and self._dsn is not None:
            try:
                self._cache.rebuild(self._dsn)
                self._is_cache_stale = False
            except (RetryableError, redis.RedisError):
                log.warning("cache not rebuilt; the next batch tries again")

    def _until_done(self, store: str, action: Callable[[], object]) -> None:
        for attempt in stamina.retry_context(
            on=self._is_worth_a_retry, attempts=None, timeout=None, wait_initial=0.5, wait_max=MAX_PAUSE_S
        ):
            with attempt, self._metrics.commit(store):
                action()

    def _is_worth_a_retry(self, error: Exception) -> bool:
        if isinstance(error, RetryableError) and not self._stopping.is_set():
            log.warning("waiting for a store", reason=str(error))
            return True
        return False
