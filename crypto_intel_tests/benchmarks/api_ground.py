"""What the API's load stands on: PostgreSQL with 432,000 bars, Redis, the API's processes, and the CPU of each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
from pydantic import SecretStr

from crypto_intel.serving import keys
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, migrate
from crypto_intel.stack.valkey import ValkeyServer
from crypto_intel_tests.benchmarks.api_mix import SYMBOLS
from crypto_intel_tests.benchmarks.api_seen import Used, used_by

_BARS = """
INSERT INTO public.bars_1m
SELECT 'binance', s || '-USDT', t, t + interval '1 minute', p, p * 1.001, p * 0.999, p * 1.0002, p, 2.5, 2.5 * p, 1.2,
  10, 0.02, 0.1, n * 10 + 1, n * 10 + 10, 100, 'complete', ''
FROM unnest(%s::text[]) s, LATERAL (
  SELECT t, row_number() OVER (ORDER BY t) n, 100 + 10 * sin(extract(epoch FROM t) / 7000 + length(s)) p
  FROM generate_series(timestamptz '2026-09-29 00:00+00', '2026-10-28 23:59+00', interval '1 minute') t) x
"""
_ROLLED = """
INSERT INTO public.bars_5m
SELECT venue, symbol, date_bin('5 minutes', window_start, timestamptz '1970-01-01 00:00+00'), max(window_end),
  (array_agg(open ORDER BY window_start))[1], max(high), min(low), (array_agg(close ORDER BY window_start DESC))[1],
  sum(volume_quote) / sum(volume_base), sum(volume_base), sum(volume_quote), sum(buy_volume_base), sum(trade_count),
  0.1, 0.2, min(first_trade_id), max(last_trade_id), 100, 'complete', '' FROM public.bars_1m GROUP BY 1, 2, 3
"""
_LIVE = """
INSERT INTO public.live_markets
SELECT venue, symbol, close, window_end, window_start, open, high, low, close, volume_base, volume_quote, trade_count,
  1.5, -2.5, close, now(), 'sim' FROM public.bars_1m WHERE window_start = '2026-10-28 23:59+00'
"""
_NEWS = """
INSERT INTO public.articles (article_id, source, url, title, summary, content, tags, symbols, published_at,
  first_seen_at, language, sentiment)
SELECT 'a' || n, 'wire', 'https://wire.example/' || n, 'Bitcoin moves ' || n, 'spot market', '', '{}',
  ARRAY[(%s::text[])[1 + n %% 10]], t, t, 'en', sin(n) FROM (
    SELECT n, timestamptz '2026-10-28 23:59+00' - n * interval '9 minutes' t FROM generate_series(1, 4800) n) x
"""


@dataclass
class Ground:
    """What runs. `apis` are addresses by name, `metrics` their pages of figures; `key` is good for all of them."""

    folder: Path
    dsn: str
    redis_url: str
    key: str
    apis: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    processes: dict[str, psutil.Process] = field(default_factory=dict)

    def used(self, name: str) -> Used:
        """So far by an API, or by `postgres`, with their children."""
        return used_by(self.processes[name])


@contextmanager
def ground(folder: Path, checkouts: dict[str, Path | None], workers: int = 1) -> Iterator[Ground]:
    """Stores with known rows, and an API of each checkout (None: this one) over the same rows."""
    database = PostgresServer(folder / "postgres", free_port())
    cache = ValkeyServer(folder / "valkey", free_port())
    with database.start() as one, cache.start() as two:
        one.wait_until_ready()
        two.wait_until_ready()
        migrate(database.dsn)
        _fill(database.dsn)
        key = keys.create(SecretStr(database.dsn), "load", rate_per_minute=10_000_000).get_secret_value()
        found = Ground(folder, database.dsn, cache.url, key)
        with psycopg.connect(database.dsn) as connection:
            found.processes["postgres"] = psutil.Process(connection.info.backend_pid).parent()
        started = [_start(found, name, checkout, workers) for name, checkout in checkouts.items()]
        try:
            for url in found.apis.values():
                _wait(f"{url}/api/v1/health/live")
            yield found
        finally:
            for api in started:
                api.terminate()
            for api in started:
                api.wait(20)


def _start(found: Ground, name: str, checkout: Path | None, workers: int) -> subprocess.Popen[bytes]:
    port = free_port()
    metrics = free_port({port})
    own = {"CRYPTO_INTEL_POSTGRES_DSN": found.dsn, "CRYPTO_INTEL_REDIS_URL": found.redis_url,
           "CRYPTO_INTEL_API__PORT": str(port), "CRYPTO_INTEL_DATA_DIR": str(found.folder),
           "CRYPTO_INTEL_API__WORKERS": str(workers), "CRYPTO_INTEL_METRICS_PORT": str(metrics)}  # fmt: skip
    own |= {"CRYPTO_INTEL_API__ADMIN": "false"}  # several workers would have to share its sessions' secret
    # `-m` looks for modules in the working directory first: so another checkout serves with the same packages.
    command = [sys.executable, "-m", "crypto_intel.serving.api"]
    api = subprocess.Popen(command, env={**os.environ, **own}, cwd=checkout)
    found.apis[name] = f"http://127.0.0.1:{port}"
    found.metrics[name] = f"http://127.0.0.1:{metrics}/metrics"
    found.processes[name] = psutil.Process(api.pid)
    return api


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_BARS, (list(SYMBOLS),))  # type: ignore[arg-type]
        connection.execute(_ROLLED)
        connection.execute(_LIVE)
        connection.execute(_NEWS, (list(SYMBOLS),))  # type: ignore[arg-type]
        connection.execute("VACUUM ANALYZE")


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(url).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers at {url}")
