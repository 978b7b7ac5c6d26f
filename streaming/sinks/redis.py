"""Redis (or a server that speaks its protocol): the newest state of each market, for readers in a hurry.

Guarantee: none, on purpose. It is a cache, written after PostgreSQL and rebuilt from it (`rebuild`). A server that is
away is skipped, counted and found again by itself; a batch never fails for it, and one in some seconds waits TIMEOUT_S
where the server hangs. Entries only move forward.

    market:{venue}:{symbol}   hash   the row of live_markets
    bar:1m:{venue}:{symbol}   hash   the newest closed row of bars_1m
    alerts                    list   the newest alerts as JSON, newest first
    whole                     "1"    set by a rebuild: whoever empties the server takes it away, too

Hash values are text: numbers as Python writes them, times as ISO 8601 in UTC with microseconds; nulls are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import polars as pl
import redis
import structlog
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from crypto_intel.contracts.events import Alert, encode
from crypto_intel.contracts.serving import BARS_1M, LIVE_MARKETS
from streaming.errors import FatalError
from streaming.sinks.connection import PostgresConnection
from streaming.sinks.postgres import Upsert

TIMEOUT_S = 0.2
"""For connecting and for each answer; a local server answers within a millisecond. What timed out is not tried a second
time, so a batch waits no longer for a server that hangs."""

PAUSE_S = 5.0
"""So long a server that did not answer in time is left alone. One that refuses costs nothing and is asked each time."""

KEPT_ALERTS = 200

_WHOLE = "whole"

_PREFIX = {LIVE_MARKETS.name: "market", BARS_1M.name: "bar:1m"}
_CLOCK = {LIVE_MARKETS.name: "event_time", BARS_1M.name: "window_start"}

# Times have one width, so that text compares as time does.
_FORWARD = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and held > ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1
"""

log = structlog.get_logger(__name__)


class RedisSink:
    """Writes newest states, where there is a Redis.

    Attributes:
        skipped: batches that did not reach the server since the start.
        is_whole: whether the server still had, at the last batch, what a rebuild put there.

    Args:
        url: redis:// or rediss:// URL; None: every call does nothing.
    """

    def __init__(self, url: SecretStr | None) -> None:
        self.skipped = 0
        self.is_whole = False
        self._is_down = False
        self._asked_from = 0.0  # monotonic: until then a server that hung is left alone
        self._client = None if url is None else _client(url)

    @property
    def is_used(self) -> bool:
        """Whether there is a server to write to."""
        return self._client is not None

    def publish(self, upserts: Sequence[Upsert], *, alerts: Sequence[Alert] = ()) -> bool:
        """Show the rows of live_markets and bars_1m among the upserts, and the alerts; other tables are left out.

        Returns:
            False if there is no server, or it is away; then it was counted in `skipped`. Never raises for that.
        """
        wanted = [upsert for upsert in upserts if upsert.table in _PREFIX and upsert.frame.height]
        if self._client is None or not (wanted or alerts):
            return self._client is not None
        if time.monotonic() < self._asked_from:
            self.skipped += 1
            return False
        try:
            self.is_whole = self._write(self._client, wanted, alerts)
        except redis.RedisError as error:
            self._note_down(error)
            return False
        self._note_up()
        return True

    def rebuild(self, dsn: SecretStr) -> int:
        """Forget everything and show what PostgreSQL has; how many entries were made (0 without a server).

        Raises:
            RetryableError: PostgreSQL is away.
            redis.RedisError: Redis is; unlike a batch, who asks for a rebuild wants to know.
        """
        if self._client is None:
            return 0
        upserts, alerts = _newest(dsn)
        stale = [key for prefix in _PREFIX.values() for key in self._client.scan_iter(f"{prefix}:*", count=1000)]
        self._client.delete("alerts", *stale)
        self._write(self._client, upserts, alerts)
        self._client.set(_WHOLE, 1)
        return sum(upsert.frame.height for upsert in upserts) + len(alerts)

    def _write(self, client: redis.Redis, upserts: Iterable[Upsert], alerts: Sequence[Alert]) -> bool:
        # Whether what a rebuild put there is still there.
        pipeline = client.pipeline(transaction=False)
        for upsert in upserts:
            clock = _CLOCK[upsert.table]
            newest = upsert.frame.sort(clock).unique(["venue", "symbol"], keep="last", maintain_order=True)
            for row in newest.iter_rows(named=True):
                fields = {name: _text(value) for name, value in row.items() if value is not None}
                key = f"{_PREFIX[upsert.table]}:{row['venue']}:{row['symbol']}"
                pipeline.eval(
                    _FORWARD, 1, key, clock, fields[clock], *[part for pair in fields.items() for part in pair]
                )
        for alert in alerts:
            text = encode(alert).decode()
            pipeline.lrem("alerts", 0, text)  # a repeated batch shows it once
            pipeline.lpush("alerts", text)
        if alerts:
            pipeline.ltrim("alerts", 0, KEPT_ALERTS - 1)
        pipeline.exists(_WHOLE)
        return bool(pipeline.execute()[-1])

    def _note_down(self, error: redis.RedisError) -> None:
        self.skipped += 1
        if isinstance(error, redis.TimeoutError):
            self._asked_from = time.monotonic() + PAUSE_S
        if not self._is_down:
            log.warning("redis is away; its entries are skipped until it is back", error=type(error).__name__)
        self._is_down = True

    def _note_up(self) -> None:
        if self._is_down:
            log.info("redis is back", skipped=self.skipped)
        self._is_down = False


def _client(url: SecretStr) -> redis.Redis:
    try:
        return redis.Redis.from_url(
            url.get_secret_value(),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # One: a connection that the server has closed meanwhile shows only on use. None where nobody answers.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except ValueError:
        raise FatalError("CRYPTO_INTEL_REDIS_URL is not a URL such as redis://:password@host:6379/0") from None


def _newest(dsn: SecretStr) -> tuple[list[Upsert], list[Alert]]:
    database = PostgresConnection(dsn, application="crypto-intel redis rebuild")
    statements = {
        LIVE_MARKETS: "SELECT {} FROM public.live_markets",
        BARS_1M: "SELECT DISTINCT ON (venue, symbol) {} FROM public.bars_1m ORDER BY venue, symbol, window_start DESC",
    }
    upserts = []
    with database.transaction() as connection:
        for table, statement in statements.items():
            rows = connection.execute(statement.format(", ".join(table.column_names))).fetchall()
            upserts.append(Upsert(table.name, pl.DataFrame(rows, table.column_names, orient="row")))
        alerts = connection.execute(
            "SELECT o.payload::text FROM public.alerts a JOIN ops.alert_outbox o USING (alert_id) "
            "ORDER BY a.raised_at DESC, alert_id LIMIT %s",
            (KEPT_ALERTS,),
        ).fetchall()
    database.close()
    return upserts, [msgspec.json.decode(payload, type=Alert) for (payload,) in reversed(alerts)]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)
