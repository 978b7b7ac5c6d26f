"""`python -m crypto_intel_tests.benchmarks.sensors`: what a tick of each sensor costs after 1,000 hours.

Starts Kafka, PostgreSQL and a code server as the platform does, lays a lake and a history of so many partitions, and
asks the code server for ticks as Dagster's daemon does, over gRPC. Shows seconds and CPU of a tick: the first one,
which has no cursor, and those behind it. Ends with 1 when a tick took more than 2 s. `--profile SENSOR` says where its
time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.external_data import SensorExecutionErrorSnap
from dagster._grpc.impl import get_external_sensor_execution
from rich.console import Console
from rich.table import Table

from crypto_intel.definitions import build_defs
from crypto_intel.stack import dagster_home
from crypto_intel.stack.ports import LOOPBACK, answers, free_port
from crypto_intel.stack.postgres import ensure_database
from crypto_intel.stack.process import Command, Server, tied_to_parent
from crypto_intel_tests.benchmarks import history
from crypto_intel_tests.benchmarks.servers import Servers, servers

BOUND_S = 2.0
"""A tick takes less, after 1,000 partitions."""

Tick = Callable[[str, str | None], SensorExecutionData]
"""A tick of a sensor with a cursor."""


@dataclass(frozen=True)
class Cost:
    """Of a sensor's ticks: seconds of the first and of those behind it, and CPU-seconds of one behind it."""

    sensor: str
    first_s: float
    middle_s: float
    most_s: float
    code_cpu_s: float
    database_cpu_s: float
    says: str

    @property
    def is_quick(self) -> bool:
        """No tick took longer than it may."""
        return max(self.first_s, self.most_s) < BOUND_S


def cpu_s(process: psutil.Process) -> float:
    """CPU-seconds so far of a process and its children, those that ended included."""
    used = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        used += times.user + times.system + times.children_user + times.children_system
    return used


def cost(name: str, tick: Tick, rounds: int, code: psutil.Process, database: psutil.Process) -> Cost:
    """Tick a sensor so often, each time with the cursor that the tick before gave."""
    took_s: list[float] = []
    cursor, told = None, ""
    before = (0.0, 0.0)
    for number in range(rounds + 1):
        if number == 1:
            before = cpu_s(code), cpu_s(database)
        began = time.perf_counter()
        done = tick(name, cursor)
        took_s.append(time.perf_counter() - began)
        cursor = done.cursor or cursor
        told = done.skip_message or f"{len(done.run_requests or [])} runs"
    middle_s, most_s = history.spread(took_s[1:])
    cpu = [(after - was) / rounds for after, was in zip((cpu_s(code), cpu_s(database)), before, strict=True)]
    return Cost(name, took_s[0], middle_s, most_s, cpu[0], cpu[1], told)


@contextmanager
def platform(running: Servers, partitions: int) -> Iterator[tuple[dg.DagsterInstance, dict[str, str]]]:
    """Lake, databases and Dagster's home in the servers' folder; the instance, and the code server's environment."""
    dsn, topics = running.database(), running.topics()
    storage = ensure_database(running.postgres_dsn, dagster_home.DATABASE)
    environment = {
        **running.environment(running.folder / "data", topics, dsn),
        "DAGSTER_HOME": str(running.folder / "dagster"),
        "CRYPTO_INTEL_FRED__API_KEY": "simulated",
        dagster_home.URL_VARIABLE: dagster_home.storage_url(running.postgres_dsn),
        dagster_home.EVENT_BATCH_VARIABLE: dagster_home.EVENT_BATCH,
    }
    os.environ.update(environment)
    history.fill_lake(running.folder / "data" / "lake", history.hour_now(), partitions, topics.trades)
    dagster_home.write(running.folder / "dagster", 0)
    with dg.DagsterInstance.get() as instance:
        history.fill_dagster(instance, storage, partitions)
        yield instance, environment


@contextmanager
def code_server(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[int, psutil.Process]]:
    """The code location in a server of its own: its port and process."""
    port = free_port()
    serve = [sys.executable, "-m", "dagster", "api", "grpc", "-m", "crypto_intel.definitions"]
    command = Command(tied_to_parent([*serve, "-h", LOOPBACK, "-p", str(port)]), environment)
    with Server("code server", command, folder / "logs" / "code.log", lambda: answers(port)) as server:
        server.wait_until_ready()
        yield port, psutil.Process(server.pid)


def asked(instance: dg.DagsterInstance, port: int) -> tuple[Tick, list[str]]:
    """Ticks as the daemon asks for them, and the sensors that there are."""
    origin = GrpcServerCodeLocationOrigin(host=LOOPBACK, port=port, location_name="crypto_intel")
    location = origin.create_location(instance)
    (repository,) = location.get_repositories().values()

    def tick(name: str, cursor: str | None) -> SensorExecutionData:
        return location.get_sensor_execution_data(
            instance, repository.handle, name, time.time(), None, cursor, None, None
        )

    return tick, sorted(sensor.name for sensor in repository.get_sensors())


def profiled(instance: dg.DagsterInstance, name: str, rounds: int) -> None:
    """Print where the time of a sensor's ticks goes, evaluated in this process as the code server does."""
    repository = build_defs().get_repository_def()
    origin = GrpcServerCodeLocationOrigin(host=LOOPBACK, port=0, location_name="crypto_intel")
    cursor, profile = None, cProfile.Profile()
    for number in range(rounds + 1):
        if number == 1:  # the first has no cursor, and imports what it uses
            profile.enable()
        done: Any = get_external_sensor_execution(
            repository, origin, instance.get_ref(), name, time.time(), None, cursor, None, None
        )
        if isinstance(done, SensorExecutionErrorSnap):
            raise RuntimeError(str(done.error))
        cursor = done.cursor or cursor
    profile.disable()
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


def show(costs: list[Cost]) -> None:
    """A row a sensor, the slowest first."""
    headings = ("first s", "middle s", "most s", "CPU s, code", "CPU s, database")
    table = Table("sensor", *headings, "says", title="ticks", title_justify="left")
    for one in sorted(costs, key=lambda found: -found.code_cpu_s):
        figures = (one.first_s, one.middle_s, one.most_s, one.code_cpu_s, one.database_cpu_s)
        table.add_row(one.sensor, *(f"{figure:.3f}" for figure in figures), one.says[:40])
    Console(width=150).print(table)
    total = sum(one.code_cpu_s + one.database_cpu_s for one in costs)
    Console().print(f"a tick of each: {total:.2f} CPU-seconds")


def main() -> int:
    """Exit code 0 only if every tick was quick enough."""
    parser = argparse.ArgumentParser(prog="python -m crypto_intel_tests.benchmarks.sensors", description=__doc__)
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=10, help="ticks of a sensor behind its first")
    parser.add_argument("--profile", metavar="SENSOR", help="say where the time of this sensor's ticks goes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sensors-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        with servers(folder) as running, platform(running, chosen.partitions) as (instance, environment):
            if chosen.profile:
                profiled(instance, chosen.profile, chosen.rounds)
                return 0
            with code_server(folder, environment) as (port, code):
                tick, names = asked(instance, port)
                database = psutil.Process(running.postgres_pid)
                costs = [cost(name, tick, chosen.rounds, code, database) for name in names]
    show(costs)
    return int(not all(one.is_quick for one in costs))


if __name__ == "__main__":
    sys.exit(main())
