"""Load on the API: 200 requests a second over 432,000 bars, 100 WebSocket clients at 10 updates a second, page reads.

`make load-api`, or `python -m crypto_intel_tests.benchmarks.api --seconds 30`. It starts its own PostgreSQL, Redis and
API on free ports, fills them, and prints what readers saw. `--against FOLDER` starts the API of another checkout over
the same rows and asks both in turns, so that a change is measured in one run. The load comes from the same machine, so
it says what a laptop gives; how much of the CPU each side took and waited for, what others took, and how long answers
took by the API's own clock are printed with the figures (api_seen.py).
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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from pydantic import SecretStr
from websockets.asyncio.client import connect

from crypto_intel.serving.database import Database
from crypto_intel.serving.queries import alerts, bars, macro, markets, news, trust
from crypto_intel.serving.queries.query import MAX_ROWS, Query
from crypto_intel_tests.benchmarks.api_ground import Ground, ground
from crypto_intel_tests.benchmarks.api_mix import PER_USER_S
from crypto_intel_tests.benchmarks.api_seen import Clock, Used, clocks, machine_busy_s, watch

ROUNDS = 2
"""Of each API, in turns: what else the machine does meets both."""

PAGE_READS = 15
GOAL_S = 0.05


@dataclass(frozen=True)
class RestRun:
    """One round of REST: locust's rows (the last one for all), who used and waited for CPU, the API's own clock."""

    name: str
    rows: list[dict[str, str]]
    used: dict[str, Used]
    others_cores: float
    clocks: dict[str, Clock]

    @property
    def total(self) -> dict[str, str]:
        """Figures of all requests."""
        return self.rows[-1]


def load_rest(at: Ground, name: str, rate: float, seconds: int) -> RestRun:
    """Ask one API with locust at this rate."""
    users = round(rate / PER_USER_S)
    prefix = at.folder / "load"
    command = [
        sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("api_locust.py")), "--headless",
        "--host", at.apis[name], "--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s",
        "--csv", str(prefix), "--only-summary", "--loglevel", "WARNING", "--reset-stats",
    ]  # fmt: skip
    servers = {"api": name, "postgres": "postgres"}
    before = {who: at.used(server) for who, server in servers.items()}
    clocks_before, busy, began = clocks(at.metrics[name]), machine_busy_s(), time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    generator = watch(psutil.Popen(command, env={**os.environ, "LOAD_KEY": at.key}, **quiet))
    used = {who: at.used(server) - before[who] for who, server in servers.items()} | {"load generator": generator}
    others_s = machine_busy_s() - busy - sum(one.cpu_s for one in used.values())
    own = {route: clock - clocks_before.get(route, Clock()) for route, clock in clocks(at.metrics[name]).items()}
    with Path(f"{prefix}_stats.csv").open() as file:
        rows = list(csv.DictReader(file))
    return RestRun(name, rows, used, others_s / (time.monotonic() - began), own)


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
                text = await asyncio.wait_for(socket.recv(), 30)
                received_at = time.time()
                message = json.loads(text)
                if message["type"] == "price":
                    written = datetime.fromisoformat(message["data"]["updated_at"]).timestamp()
                    delays.append((received_at - written) * 1000)

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


def page_queries() -> Iterator[tuple[str, Query]]:
    """What the dashboard's pages ask for, with its default ranges."""
    end = datetime(2026, 10, 29, tzinfo=UTC)

    def of(days: int) -> bars.Range:
        return bars.Range("BTC-USDT", "binance", end - timedelta(days=days), end, "asc", MAX_ROWS)

    yield "market: prices", markets.prices()
    yield "market: markets", markets.symbols()
    yield "market: 1 day of minutes", bars.bars("1m", of(1))
    yield "market: 7 days of 5 minutes", bars.bars("5m", of(7))
    yield "market: 30 days of hours", bars.bars("1h", of(30))
    yield "market: news", news.articles(news.NewsFilter("BTC", start=end - timedelta(days=7), order="asc", limit=500))
    yield "movers: ranking", markets.ranking("change_24h_pct", limit=1_000)
    yield "movers: 72 hours", bars.bars("1h", bars.Range("BTC-USDT", limit=72))
    yield "movers: 31 days", bars.bars("1d", bars.Range("BTC-USDT", limit=31))
    yield "news: articles", news.articles(news.NewsFilter(limit=200))
    yield "news: sentiment", news.sentiment_by_hour(None, end - timedelta(days=7), end)
    yield "alerts: list", alerts.alerts(alerts.AlertFilter(limit=500))
    yield "macro: series", macro.series()
    yield "macro: a year of days", bars.bars("1d", bars.Range("BTC-USDT", limit=366))
    yield "trust: completeness", trust.completeness()
    yield "trust: 8 days of it", trust.completeness(end=end)
    yield "trust: feeds", trust.feeds()
    yield "trust: gaps", trust.gaps(trust.GapFilter(limit=500))
    yield "trust: counts", trust.counts()


def time_pages(dsn: str) -> list[tuple[str, int, float, float]]:
    """Each query of the pages: name, rows, median and longest of some reads in ms; the first read is left out."""
    database = Database(SecretStr(dsn), connections=1)
    found = []
    for name, query in page_queries():
        took, rows = [], 0
        for _ in range(PAGE_READS + 1):
            began = time.perf_counter()
            rows = len(database.page(query).rows)
            took.append((time.perf_counter() - began) * 1000)
        took = sorted(took[1:])
        found.append((name, rows, took[len(took) // 2], took[-1]))
    database.close()
    return found


def main() -> None:
    """Run all loads and print their figures as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--against", type=Path, help="A checkout whose API is asked too, in turns.")
    chosen = parser.parse_args()
    checkouts: dict[str, Path | None] = {"before": chosen.against.resolve()} if chosen.against else {}
    checkouts["now"] = None
    say = print
    say(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory() as name, ground(Path(name), checkouts, chosen.workers) as at:
        rounds = ROUNDS if chosen.against else 1
        runs = [load_rest(at, api, chosen.rate, chosen.seconds) for _ in range(rounds) for api in checkouts]
        live = {
            api: asyncio.run(load_live(at.apis[api], at.dsn, at.key, clients=chosen.clients, rate=10,
                                       seconds=chosen.seconds))
            for api in checkouts
        }  # fmt: skip
        pages = time_pages(at.dsn)
    for table in (_rest_table, _inside_table, _cpu_table):
        say(table(runs))
    say(_live_lines(live, chosen.clients * 10 * chosen.seconds))
    say(_pages_table(pages))


def _rest_table(runs: list[RestRun]) -> str:
    lines = ["| api | request | requests | failures | a second | p50 ms | p95 ms | p99 ms |", "|---" * 8 + "|"]
    for run in runs:
        for row in run.rows if len(runs) == 1 else [run.total]:
            told = [
                run.name,
                row["Name"],
                row["Request Count"],
                row["Failure Count"],
                f"{float(row['Requests/s']):.1f}",
            ]
            lines.append("| " + " | ".join([*told, row["50%"], row["95%"], row["99%"]]) + " |")
    return "\n".join(lines) + "\n"


def _inside_table(runs: list[RestRun]) -> str:
    lines = ["| api | by the API's own clock | requests | p50 ms | p99 ms | within 50 ms |", "|---" * 6 + "|"]
    for run in runs:
        found = {route: clock for route, clock in run.clocks.items() if clock.requests}
        every = {"all": sum(found.values(), start=Clock())}
        for route, clock in ({**found, **every} if len(runs) == 1 else every).items():
            p50, p99 = (clock.quantile_ms(share) for share in (0.5, 0.99))
            told = f"{clock.requests:.0f} | {p50:.1f} | {p99:.1f} | {clock.within_pct(GOAL_S):.2f} %"
            lines.append(f"| {run.name} | {route} | {told} |")
    return "\n".join(lines) + "\n"


def _cpu_table(runs: list[RestRun]) -> str:
    lines = [
        "| api | CPU ms a request, and ms it waited for a core: api | postgres | load generator | cores others used |",
        "|---" * 5 + "|",
    ]
    for run in runs:
        count = max(1, int(run.total["Request Count"]))
        parts = [f"{1000 * u.cpu_s / count:.2f}, {1000 * u.waited_s / count:.2f}" for u in run.used.values()]
        lines.append("| " + " | ".join([run.name, *parts, f"{run.others_cores:.2f}"]) + " |")
    return "\n".join(lines) + "\n"


def _live_lines(live: dict[str, list[float]], meant: int) -> str:
    lines = ["| api | updates that arrived one by one | p50 ms | p99 ms | longest ms |", "|---" * 5 + "|"]
    for name, delays in live.items():
        p50, p99 = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
        lines.append(f"| {name} | {100 * len(delays) / meant:.1f} % | {p50:.0f} | {p99:.0f} | {delays[-1]:.0f} |")
    return "\n".join(lines) + "\n"


def _pages_table(pages: list[tuple[str, int, float, float]]) -> str:
    lines = ["| page: query | rows | median ms | longest ms |", "|---" * 4 + "|"]
    lines += [f"| {name} | {rows} | {median:.1f} | {longest:.1f} |" for name, rows, median, longest in pages]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
