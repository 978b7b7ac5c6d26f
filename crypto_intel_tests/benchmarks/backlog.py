"""Backlog: a market that stands in Kafka -> bars and pairs in Delta and PostgreSQL, by the product and by the floor.

Both do the same work in turn, on the same records, into empty outputs. An output that is not the truth voids its row.
Two sizes are run since a start weighs much in a small one: the steady rate is what the larger one has more, over the
time it takes longer. Times depend on what else the machine does; CPU-seconds less so, and ratios within a run least.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from deltalake import DeltaTable

from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.tables import BRONZE_NEWS, BRONZE_TRADES, SILVER_BAR_NEWS, SILVER_BARS_1M
from crypto_intel_tests.benchmarks import floor, product
from crypto_intel_tests.benchmarks.fill import fill
from crypto_intel_tests.benchmarks.market import Market, Shape
from crypto_intel_tests.benchmarks.measure import Cost, run
from crypto_intel_tests.benchmarks.servers import Servers
from crypto_intel_tests.benchmarks.truth import BAR_KEY, BARS, PAIR_KEY, PAIRS, Truth, faults, truth_of

PRODUCT, FLOOR = "product", "plain Python"
TIMEOUT_S = 900
Tell = Callable[[str], Any]


@dataclass(frozen=True)
class Contestant:
    """Who runs, and how to read what became of it: (lake, DSN) -> bars, pairs, bars in PostgreSQL."""

    module: str
    environment: Mapping[str, str]
    output: Callable[[Path, str], tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]


def _of_product(lake: Path, dsn: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    times = pl.col("window_start", "published_at").dt.epoch("us")
    bars = pl.read_delta(SILVER_BARS_1M.path(str(lake))).filter(pl.col("trade_count") > 0)
    pairs = pl.read_delta(SILVER_BAR_NEWS.path(str(lake))).join(bars, on=BAR_KEY, how="semi")  # not of quiet bars
    served = _rows(dsn, f"SELECT {', '.join(BARS)} FROM bars_1m WHERE trade_count > 0")
    start = pl.col("window_start").dt.epoch("us")
    return bars.select(BARS).with_columns(start), pairs.select(PAIRS).with_columns(times), served.with_columns(start)


def _of_floor(lake: Path, dsn: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    served = _rows(dsn, f"SELECT {', '.join(BARS)} FROM {floor.TABLE}")
    return pl.read_delta(str(lake / "bars")), pl.read_delta(str(lake / "pairs")), served


def _rows(dsn: str, statement: str) -> pl.DataFrame:
    with psycopg.connect(dsn) as connection:
        return pl.DataFrame(
            connection.execute(statement).fetchall(), schema=BARS, orient="row", infer_schema_length=None
        )


CONTESTANTS = {
    FLOOR: Contestant("crypto_intel_tests.benchmarks.floor", {}, _of_floor),
    PRODUCT: Contestant("crypto_intel_tests.benchmarks.product", product.SETTINGS, _of_product),
}


class Backlog:
    """The benchmark. Args: `tell` is given what is being done, for a progress bar."""

    def __init__(self, servers: Servers, tell: Tell, *, runs: int = 1, seed: int = 7) -> None:
        self._servers = servers
        self._tell = tell
        self._runs = runs
        self._seed = seed

    def measure(self, sizes: Sequence[int]) -> list[dict[str, Any]]:
        """A row for each contestant and size, with the rates and ratios of this run."""
        costs = {size: self._size(size) for size in sizes}
        return rows_of(costs)

    def _size(self, trades: int) -> dict[str, list[Cost]]:
        market, topics = Market(Shape(trades=trades, seed=self._seed)), self._servers.topics()
        self._tell(f"{trades:,} trades: into Kafka")
        counts = fill(self._servers.bootstrap, market, topics)
        truth = truth_of(market)
        costs: dict[str, list[Cost]] = {name: [] for name in CONTESTANTS}
        for _ in range(self._runs):
            for name, found in costs.items():
                self._tell(f"{trades:,} trades: {name}")
                found.append(self.one(name, topics, truth, counts))
        self._servers.drop(topics)
        return costs

    def one(self, name: str, topics: Topics, truth: Truth, counts: Mapping[str, int]) -> Cost:
        """One run of a contestant, judged."""
        contestant = CONTESTANTS[name]
        data, dsn = self._servers.folder / "data", self._servers.database()
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        environment = self._servers.environment(data, topics, dsn) | dict(contestant.environment)
        log = self._servers.folder / "logs" / f"{name.replace(' ', '_')}.log"
        cost = run(name, [sys.executable, "-m", contestant.module], environment, log, TIMEOUT_S)
        if not cost.wrong:
            cost.wrong = "; ".join(self._judge(contestant, data / "lake", dsn, truth))
        if name == PRODUCT and not cost.wrong:
            cost.wrong = "; ".join(_not_in_bronze(data / "lake", topics, counts))
        return cost

    def _judge(self, contestant: Contestant, lake: Path, dsn: str, truth: Truth) -> list[str]:
        bars, pairs, served = contestant.output(lake, dsn)
        return [
            *faults("bars", bars, truth.bars, BAR_KEY),
            *faults("pairs", pairs, truth.pairs, PAIR_KEY),
            *faults("postgres", served, truth.bars, BAR_KEY),
        ]


def _not_in_bronze(lake: Path, topics: Topics, counts: Mapping[str, int]) -> list[str]:
    """Every record is in bronze once, heartbeats in a table of their own."""
    wrong = []
    for table, topic in ((BRONZE_TRADES, topics.trades), (BRONZE_NEWS, topics.news)):
        rows = DeltaTable(table.path(str(lake))).to_pyarrow_table(columns=["kafka_partition", "kafka_offset"])
        places = pl.DataFrame(pl.from_arrow(rows))
        beats = counts[topic] - places.height
        if places.n_unique() != places.height or not 0 <= beats <= places.height + counts[topic]:
            wrong.append(f"{table.full_name}: {places.height} rows for {counts[topic]} records")
    return wrong


def rows_of(costs: Mapping[int, Mapping[str, Sequence[Cost]]]) -> list[dict[str, Any]]:
    """Rows of the table: medians over the runs; a row with a wrong run has no figures."""
    rows = [_row(size, name, runs) for size, by_name in costs.items() for name, runs in by_name.items()]
    by_key = {(row["trades"], row["name"]): row for row in rows}
    for row in rows:
        least = by_key.get((row["trades"], FLOOR), {})
        if row.get("work_s") and least.get("work_s"):
            row["work_ratio"], row["cpu_ratio"] = row["work_s"] / least["work_s"], row["cpu_s"] / least["cpu_s"]
    small, large = min(costs), max(costs)
    for name in costs[large]:
        less, more = by_key[small, name], by_key[large, name]
        if small != large and less.get("work_s") and more.get("work_s"):
            longer_s, cpu_s = more["work_s"] - less["work_s"], more["work_cpu_s"] - less["work_cpu_s"]
            more["steady_per_s"] = (large - small) / longer_s if longer_s > 0 else None
            more["steady_cpu_us"] = 1e6 * cpu_s / (large - small)
    return rows


def _row(trades: int, name: str, runs: Sequence[Cost]) -> dict[str, Any]:
    wrong = [cost.wrong for cost in runs if cost.wrong]
    row: dict[str, Any] = {"trades": trades, "name": name, "wrong": "; ".join(wrong), "runs": len(runs)}
    if not wrong:
        middle = {
            of: statistics.median(getattr(cost, of) for cost in runs)
            for of in ("wall_s", "work_s", "cpu_s", "work_cpu_s", "peak_mib")
        }
        row |= middle | {"per_s": trades / middle["work_s"], "facts": runs[-1].facts, "cpu_by": runs[-1].cpu_by}
    return row
