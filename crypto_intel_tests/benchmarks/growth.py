"""Growth: what a trade costs and what is remembered, over more markets and over more hours of event time.

The same number of trades each time, by the product's own jobs, `live` among them. Cost is that of Spark's Python
workers, which do all that is done for each record; the JVM's and the driver's is by batch, and mostly their start. A
bar costs too, and many markets have many: so the figure has the bars in it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from crypto_intel.contracts.settings import Topics
from crypto_intel_tests.benchmarks import product
from crypto_intel_tests.benchmarks.fill import fill
from crypto_intel_tests.benchmarks.market import Market, Shape
from crypto_intel_tests.benchmarks.measure import Cost, run
from crypto_intel_tests.benchmarks.servers import Servers
from streaming.transforms.live import HISTORY_MINUTES

TIMEOUT_S = 900
ALLOWED = 1.2
"""How much more than the first a trade may cost, and than the rate says the state may be."""

CLOSE_BYTES = 18
"""A close in the state of `live`: two numbers of msgpack, 9 bytes each."""
MARKET_BYTES = 3_000
"""What a market's rules and open windows may take besides, in `ingest` and `live` together."""


class Case(NamedTuple):
    """Markets, and minutes of event time."""

    symbols: int
    minutes: int

    @property
    def name(self) -> str:
        """In words."""
        hours = self.minutes / 60
        return f"{self.symbols} markets, {hours:g} h"


SYMBOLS = [Case(10, 60), Case(100, 60), Case(500, 60)]
HOURS = [Case(10, 60), Case(10, 6 * 60), Case(10, 24 * 60)]


def expected_bytes(case: Case) -> int:
    """Rate x retention: a close a minute for a day, and what a market takes anyway."""
    closes = min(case.minutes, HISTORY_MINUTES)
    return case.symbols * (closes * CLOSE_BYTES + MARKET_BYTES)


class Growth:
    """The benchmark."""

    def __init__(self, servers: Servers, tell: Callable[[str], Any], *, trades: int, seed: int = 7) -> None:
        self._servers = servers
        self._tell = tell
        self._trades = trades
        self._seed = seed

    def measure(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """A row for each case; ratios are to the first."""
        rows = [self._case(case) for case in dict.fromkeys(cases)]
        for row in rows:
            row["ratio"] = row["cpu_us"] / rows[0]["cpu_us"] if row["cpu_us"] and rows[0]["cpu_us"] else None
            row["missed"] = ", ".join(_missed(row))
        return rows

    def _case(self, case: Case) -> dict[str, Any]:
        shape = Shape(self._trades, case.symbols, case.minutes, articles=1_000, seed=self._seed)
        topics, dsn = self._servers.topics(), self._servers.database()
        self._tell(f"{case.name}: into Kafka")
        fill(self._servers.bootstrap, Market(shape), topics)
        self._tell(f"{case.name}: the product")
        cost = self._run(topics, dsn)
        self._servers.drop(topics)
        states = cost.facts.get("state_bytes", {})
        return {
            "name": case.name,
            "symbols": case.symbols,
            "hours": case.minutes / 60,
            "trades": self._trades,
            "cpu_us": 1e6 * cost.cpu_by.get("workers", 0.0) / self._trades,
            "total_cpu_s": cost.cpu_s,
            "work_s": cost.work_s,
            "state_kib": sum(states.values()) / 1024,
            "expected_kib": expected_bytes(case) / 1024,
            "peak_mib": cost.peak_mib,
            "wrong": cost.wrong,
        }

    def _run(self, topics: Topics, dsn: str) -> Cost:
        data = self._servers.folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        environment = self._servers.environment(data, topics, dsn) | product.SETTINGS | {product.WITH_LIVE: "1"}
        command = [sys.executable, "-m", "crypto_intel_tests.benchmarks.product"]
        return run("growth", command, environment, self._servers.folder / "logs" / "growth.log", TIMEOUT_S)


def _missed(row: dict[str, Any]) -> list[str]:
    missed = [row["wrong"]] if row["wrong"] else []
    missed += ["cost"] if (row["ratio"] or 0) > ALLOWED else []
    return missed + (["state"] if row["state_kib"] > ALLOWED * row["expected_kib"] else [])
