"""Load on the API: 200 requests a second over 432,000 bars, and 100 WebSocket clients at 10 updates a second.

`make load-api`, or `python -m crypto_intel_tests.benchmarks.api --seconds 30`. It starts its own PostgreSQL, Redis and
API on free ports, fills them, and prints what readers saw. The load comes from the same machine, so it says what a
laptop gives, not what the API could give alone; the load of the machine before the run is printed with the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr
from websockets.asyncio.client import connect

from crypto_intel.serving import keys
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, migrate
from crypto_intel.stack.valkey import ValkeyServer
from crypto_intel_tests.benchmarks.api_locust import PER_USER_S, SYMBOLS

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


@contextmanager
def _stack(folder: Path) -> Iterator[tuple[str, str, str]]:
    # Address of the API, the database's URI, a key.
    database = PostgresServer(folder / "postgres", free_port())
    cache = ValkeyServer(folder / "valkey", free_port())
    with database.start() as one, cache.start() as two:
        one.wait_until_ready()
        two.wait_until_ready()
        migrate(database.dsn)
        _fill(database.dsn)
        key = keys.create(SecretStr(database.dsn), "load", rate_per_minute=10_000_000).get_secret_value()
        port = free_port()
        own = {"CRYPTO_INTEL_POSTGRES_DSN": database.dsn, "CRYPTO_INTEL_REDIS_URL": cache.url,
               "CRYPTO_INTEL_API__PORT": str(port), "CRYPTO_INTEL_DATA_DIR": str(folder)}  # fmt: skip
        api = subprocess.Popen([sys.executable, "-m", "crypto_intel.serving.api"], env={**os.environ, **own})
        try:
            _wait(f"http://127.0.0.1:{port}/api/v1/health/live")
            yield f"http://127.0.0.1:{port}", database.dsn, key
        finally:
            api.terminate()
            api.wait(20)


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_BARS, (list(SYMBOLS),))  # type: ignore[arg-type]
        connection.execute(_ROLLED)
        connection.execute(_LIVE)
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


def load_rest(url: str, key: str, rate: float, seconds: int, folder: Path) -> list[dict[str, str]]:
    """Ask with locust at this rate; its rows of figures, the last one for all."""
    users = round(rate / PER_USER_S)
    command = [
        sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("api_locust.py")), "--headless",
        "--host", url, "--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s",
        "--csv", str(folder / "load"), "--only-summary", "--loglevel", "WARNING", "--reset-stats",
    ]  # fmt: skip
    subprocess.run(command, env={**os.environ, "LOAD_KEY": key}, check=False, stdout=subprocess.DEVNULL)
    with (folder / "load_stats.csv").open() as file:
        return list(csv.DictReader(file))


async def load_live(url: str, dsn: str, key: str, *, clients: int, rate: float, seconds: float) -> list[float]:
    """Follow one market with many clients while it moves; how long each update took to each client, in ms."""
    delays: list[float] = []
    headers = {"Authorization": f"Bearer {key}"}
    stop = asyncio.Event()

    async def follow() -> None:
        address = url.replace("http", "ws") + "/api/v1/ws"
        async with connect(address, additional_headers=headers, compression=None) as socket:
            await socket.send('{"op":"subscribe","channels":["prices"],"symbols":["BTC-USDT"]}')
            while not stop.is_set():
                message = json.loads(await asyncio.wait_for(socket.recv(), 30))
                if message["type"] == "price":
                    written = datetime.fromisoformat(message["data"]["updated_at"]).timestamp()
                    delays.append((time.time() - written) * 1000)

    tasks = [asyncio.create_task(follow()) for _ in range(clients)]
    await asyncio.sleep(3)
    delays.clear()
    await _move(dsn, rate, seconds)
    await asyncio.sleep(1)
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(delays)


async def _move(dsn: str, rate: float, seconds: float) -> None:
    # Each write tells its own time, so that the whole way is measured: commit, NOTIFY, read, send, receive.
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await connection.execute(
                "UPDATE public.live_markets SET price = %s, event_time = event_time + interval '1 second', "
                "updated_at = %s WHERE symbol = 'BTC-USDT'",
                (100 + number / 1000, datetime.now(UTC)),
            )


def main() -> None:
    """Run both loads and print their figures as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--clients", type=int, default=100)
    chosen = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name, _stack(Path(name)) as (url, dsn, key):
        rows = load_rest(url, key, chosen.rate, chosen.seconds, Path(name))
        delays = asyncio.run(load_live(url, dsn, key, clients=chosen.clients, rate=10, seconds=chosen.seconds))
    print(f"load of the machine before: {before:.1f} on {os.cpu_count()} cores\n")  # noqa: T201
    print("| request | requests | failures | a second | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|---|---|---|")  # noqa: T201
    for row in rows:
        told = [row["Name"], row["Request Count"], row["Failure Count"], f"{float(row['Requests/s']):.1f}"]
        print("| " + " | ".join([*told, row["50%"], row["95%"], row["99%"]]) + " |")  # noqa: T201
    got = len(delays) / (chosen.clients * 10 * chosen.seconds)
    p50, p99 = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
    print(f"\n{chosen.clients} clients, 10 updates a second: {100 * got:.1f} % arrived one by one, "  # noqa: T201
          f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {delays[-1]:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
