"""Live: how late a trade is in PostgreSQL, Redis, bronze and on the alerts topic, at a steady rate for some minutes.

The application is `python -m streaming.jobs` as it is, with its own triggers; only the price rule's window and pause
are shortened, so that there are alerts enough to tell a p99. The load is paced.py's. The first minute does not count:
a JVM starts in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crypto_intel.contracts.settings import Topics
from crypto_intel_tests.benchmarks.latency import alert_latencies, growth, latencies_of, quantiles
from crypto_intel_tests.benchmarks.measure import MEBIBYTE, Tree
from crypto_intel_tests.benchmarks.observe import Alerts, Stores, Watcher, bronze_latencies, now_us
from crypto_intel_tests.benchmarks.paced import Jump
from crypto_intel_tests.benchmarks.servers import Servers

WARM_S = 60.0
GOALS_S = {"postgres": 3.0, "redis": 3.0, "bronze": 5.0, "alert": 3.0}
"""The p99 of each."""
FLAT = 1.5
"""A batch's time, or what stands behind it, may be so many times greater at the end than at the beginning."""

_SETTINGS = {"CRYPTO_INTEL_RULES_FILE": str(Path(__file__).with_name("live_rules.yaml"))}
Tell = Callable[[str], Any]


class EndedError(Exception):
    """The application did not run to the end of the load."""


class Run(NamedTuple):
    """What was seen of a run; `from_us` is when it began to count."""

    stores: Stores
    alerts: Alerts
    jumps: list[Jump]
    from_us: int
    lake: str
    cores: float
    peak_mib: float


class Live:
    """The benchmark."""

    def __init__(self, servers: Servers, tell: Tell) -> None:
        self._servers = servers
        self._tell = tell

    def measure(self, rates: Sequence[int], minutes: float) -> list[dict[str, Any]]:
        """A row for each rate; without figures where the application ended."""
        return [self._row(rate, minutes) for rate in rates]

    def _row(self, rate: int, minutes: float) -> dict[str, Any]:
        try:
            return row_of(rate, minutes, self._run(rate, minutes))
        except EndedError as error:
            return {"rate": rate, "minutes": minutes, "wrong": str(error), "missed": str(error), "batches": {}}

    def _run(self, rate: int, minutes: float) -> Run:
        topics, dsn = self._servers.topics(), self._servers.database()
        data = self._servers.folder / f"live-{rate}"
        environment = self._servers.environment(data, topics, dsn) | _SETTINGS
        stores, alerts = Stores(dsn, self._servers.redis_url), Alerts(self._servers.bootstrap, topics.alerts)
        logs = self._servers.folder / "logs"
        with ExitStack() as stack:
            application = stack.enter_context(_process(["streaming.jobs"], environment, logs / f"jobs-{rate}.log"))
            tree = Tree(application.pid)
            tree.start()
            stack.callback(tree.stop)
            self._tell(f"{rate:,} trades/s: the application starts")
            watchers = [Watcher(stores.look), Watcher(alerts.look, 0.001), Watcher(stores.look_at_batches, 0.5)]
            for watcher in watchers:
                watcher.start()
            told, from_us, cores = self._load(rate, minutes, topics, logs, tree)
            for watcher in watchers:
                watcher.stop()
            if application.poll() is not None:
                raise EndedError(f"the application ended with {application.returncode}, see jobs-{rate}.log")
        return Run(stores, alerts, _jumps(told, from_us), from_us, f"{data}/lake", cores, tree.peak / MEBIBYTE)

    def _load(self, rate: int, minutes: float, topics: Topics, logs: Path, tree: Tree) -> tuple[Path, int, float]:
        # Sends; where the jumps are told, from when on it counts, and the cores that the application used since.
        told = logs / f"jumps-{rate}.txt"
        seconds = WARM_S + minutes * 60
        arguments = [self._servers.bootstrap, topics.trades, str(rate), str(seconds)]
        with _process(["crypto_intel_tests.benchmarks.paced", *arguments], {}, told) as load:
            self._wait(rate, "warming up", WARM_S, load)
            from_us, before = now_us(), tree.sample()
            self._wait(rate, "measuring", minutes * 60, load)
            cores = (tree.sample() - before) / (minutes * 60)
            load.wait(60)
        return told, from_us, cores

    def _wait(self, rate: int, what: str, seconds: float, load: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds and load.poll() is None:
            self._tell(f"{rate:,} trades/s: {what}, {seconds - elapsed:.0f} s")
            time.sleep(1)


def _jumps(told: Path, from_us: int) -> list[Jump]:
    jumps = [msgspec.json.decode(line, type=Jump) for line in told.read_bytes().splitlines() if line.startswith(b"{")]
    # The last ones had no time to be heard of.
    return [jump for jump in jumps if jump.at_us >= from_us and jump.at_us < now_us() - 5_000_000]


class _process(subprocess.Popen[bytes]):  # noqa: N801 - used as a function
    """A Python module as a child that is stopped with the block."""

    def __init__(self, module: Sequence[str], environment: dict[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            super().__init__(
                [sys.executable, "-m", *module],
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __exit__(self, *error: object) -> None:
        if self.poll() is None:
            self.terminate()
        try:
            self.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()


def row_of(rate: int, minutes: float, run: Run) -> dict[str, Any]:
    """Figures of a run, and which goals it misses."""
    found = {
        "postgres": latencies_of(run.stores.postgres, run.from_us),
        "redis": latencies_of(run.stores.redis, run.from_us),
        "bronze": bronze_latencies(run.lake, run.from_us),
        "alert": alert_latencies(run.alerts.seen, run.jumps),
    }
    row: dict[str, Any] = {"rate": rate, "minutes": minutes, "cores": run.cores, "peak_mib": run.peak_mib}
    missed = []
    for name, values in found.items():
        told = quantiles(values)
        row |= {f"{name}_{quantile}_s": value for quantile, value in told.items()}
        if told.get("p99", float("inf")) >= GOALS_S[name]:
            missed.append(f"{name} p99")
    row |= {"alerts": int(found["alert"].size), "jumps": len(run.jumps), "batches": _batches(run)}
    missed += ["an alert is lacking"] if row["alerts"] < row["jumps"] else []
    missed += [f"{name} slows down" for name, of in row["batches"].items() if of["growth"] > FLAT]
    row["most_behind"] = max((of["most_behind"] for of in row["batches"].values()), default=0)
    row["missed"] = ", ".join(missed)
    return row


def _batches(run: Run) -> dict[str, dict[str, Any]]:
    found = {}
    counted = [batch for batch in run.stores.batches if batch[0] * 1e6 >= run.from_us]
    for name in sorted({query for _, query, *_ in counted}):
        own = [(at, ms, behind) for at, query, _, ms, behind in counted if query == name]
        times, took = [at for at, *_ in own], [float(ms) for _, ms, _ in own]
        found[name] = {
            "count": len(own),
            "median_ms": sorted(took)[len(took) // 2],
            "growth": growth(times, took),
            "most_behind": max(behind for *_, behind in own),
            "series": [(round(at - run.from_us / 1e6, 1), ms, behind) for at, ms, behind in own],
        }
    return found
