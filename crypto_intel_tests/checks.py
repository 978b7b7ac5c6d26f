"""`make checks`: every check of the graph, run by Dagster on a recording; fails with the table of the one that failed.

A recorded session is laid into a lake, its hours and days are made by the graph's own jobs, which judge what they
wrote, and the checks of streams are judged behind them. Exit code 0 only if every check passed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import httpx
import msgspec
from pydantic import SecretStr

from crypto_intel.checks.factories import Readers
from crypto_intel.checks.streams import STREAM_CHECKS
from crypto_intel.contracts.macro import SERIES_IDS
from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_TRADES
from crypto_intel.core.hours import event_hour, hours_spanned
from crypto_intel.definitions import build_defs
from crypto_intel.resources.delta_io import DeltaIOManager
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.quarantine import Quarantine
from crypto_intel.resources.spark import BatchSpark
from crypto_intel.stack import java
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, migrate
from crypto_intel.stack.process import Command, Server, tied_to_parent
from crypto_intel.stack.valkey import ValkeyServer
from crypto_intel_tests.helpers import recorded_lake
from crypto_intel_tests.integration.recordings import write_capture
from streaming.simulator.app import LEDGER_FILE
from streaming.simulator.ledger import Account
from streaming.sinks.redis import RedisSink


class Verdict(NamedTuple):
    """A check's word on a partition; `shown` is the table of what is wrong."""

    asset: str
    check: str
    partition: str
    passed: bool
    shown: str


MACRO_YEARS = (2023, datetime.now(UTC).year)
"""From before the recording, whose clock freshness goes by, until now, which FRED's metadata speaks of."""
MACRO_RANGE = {
    "dagster/asset_partition_range_start": f"{SERIES_IDS[0]}|{MACRO_YEARS[0]}",
    "dagster/asset_partition_range_end": f"{SERIES_IDS[-1]}|{MACRO_YEARS[1]}",
}


def judge_recording(folder: Path, capture: Path, *, with_macro: bool = False) -> list[Verdict]:
    """Make the recording's hours and days in a new lake under `folder`, and judge all of it.

    Args:
        with_macro: some years of macro series as well, from the simulator.
    """
    lake = Lake(root=str(folder / "lake"))
    recorded_lake.fill(Path(lake.root), capture)
    database, cache = PostgresServer(folder / "postgres", free_port()), ValkeyServer(folder / "valkey", free_port())
    with ExitStack() as servers:
        for server in (database, cache):
            servers.enter_context(server.start()).wait_until_ready()
        migrate(database.dsn)
        servers.enter_context(_set(CRYPTO_INTEL_REDIS_URL=cache.url))
        servers.enter_context(_simulated_sources(folder, capture))
        servers.enter_context(BatchSpark().session())  # one for all hours: a run that finds a session uses it
        return list(judge_lake(lake, Postgres(dsn=database.dsn), with_macro=with_macro))


@contextmanager
def _set(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _simulated_sources(folder: Path, capture: Path) -> Iterator[None]:
    """The venue as it was behind the recording's last frame, for its klines; and FRED."""
    port, ws_port = free_port(), free_port()
    data_dir = folder / "simulator"
    ledger = data_dir / "run" / LEDGER_FILE
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(msgspec.json.encode(Account(source="replay", position_ns=time.time_ns())))  # behind its last
    environment = {
        **os.environ,
        "CRYPTO_INTEL_SOURCE": "replay",
        "CRYPTO_INTEL_DATA_DIR": str(data_dir),
        "CRYPTO_INTEL_SIMULATOR__CAPTURE": str(capture),
        "CRYPTO_INTEL_SIMULATOR__REST_PORT": str(port),
        "CRYPTO_INTEL_SIMULATOR__WS_PORT": str(ws_port),
    }
    command = Command(tied_to_parent([sys.executable, "-m", "streaming.simulator"]), environment)
    with Server("simulator", command, folder / "simulator.log", lambda: _answers(port)) as server:
        server.wait_until_ready()
        address = f"http://127.0.0.1:{port}"
        with _set(
            CRYPTO_INTEL_BINANCE__REST_URL=address,
            CRYPTO_INTEL_FRED__URL=address,
            CRYPTO_INTEL_FRED__API_KEY="simulated",
        ):
            yield


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def judge_lake(lake: Lake, postgres: Postgres, *, with_macro: bool = False) -> Iterator[Verdict]:
    """Verdicts of the jobs over every hour and day that has trades, then those of the stream checks."""
    own = {"lake": lake, "delta_io": DeltaIOManager(lake=lake), "quarantine": Quarantine(lake=lake)}
    graph = build_defs(resource_overrides={**own, "postgres": postgres})
    for job, options in _runs(lake, with_macro=with_macro):
        result = graph.resolve_job_def(job).execute_in_process(**options, raise_on_error=False)
        key = options.get("partition_key", "")
        yield from _of_run(result, key)
        if not result.success:
            yield Verdict(job, "run", key, passed=False, shown=_failures(result))
    RedisSink(Settings().redis_url).rebuild(SecretStr(postgres.dsn))  # as the stream does when a cache is new
    readers = Readers(lake, postgres)
    for check in STREAM_CHECKS:
        outcome = check.judge(readers)
        yield Verdict(check.key.to_user_string(), check.name, "", outcome.passed, _shown(outcome.metadata))


def _runs(lake: Lake, *, with_macro: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    hours = hours_spanned(lake.time_spans(BRONZE_TRADES))
    for job in ("market_hour", "repaired_minutes", "news_burst", "alert_verdicts"):
        yield from ((job, {"partition_key": event_hour(hour)}) for hour in hours)
    yield from (("market_day", {"partition_key": day}) for day in sorted({f"{hour:%Y-%m-%d}" for hour in hours}))
    if with_macro:
        yield "macro_years", {"tags": MACRO_RANGE}
        yield "macro_calendar", {}


def _of_run(result: dg.ExecuteInProcessResult, key: str) -> Iterator[Verdict]:
    for found in result.get_asset_check_evaluations():
        yield Verdict(found.asset_key.to_user_string(), found.check_name, key, found.passed, _shown(found.metadata))


def _shown(metadata: Any) -> str:
    return "\n".join(f"{name}: {getattr(value, 'value', value)}" for name, value in metadata.items())


def _failures(result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(event.event_specific_data)[:2000] for event in result.all_events if event.is_step_failure)


def report(verdicts: Iterable[Verdict]) -> int:
    """Print a line a check, and of those that failed what they show; returns how many failed."""
    failed = []
    for verdict in verdicts:
        mark = "ok    " if verdict.passed else "FAILED"
        print(f"{mark} {verdict.asset}: {verdict.check} {verdict.partition}".rstrip())  # noqa: T201
        failed += [] if verdict.passed else [verdict]
    for verdict in failed:
        print(f"\n{verdict.asset}: {verdict.check} {verdict.partition}\n{verdict.shown}")  # noqa: T201
    return len(failed)


def main() -> int:
    """Exit code 1 if a check failed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--capture", type=Path, help="folder of recorded frames; one is made up where it is absent")
    capture = options.parse_args().capture
    os.environ.setdefault("JAVA_HOME", str(java.find_java_home()))
    with tempfile.TemporaryDirectory(prefix="crypto-intel-checks-") as name:
        folder = Path(name)
        has_recording = capture is not None and capture.is_dir()
        recorded = capture if has_recording and capture else write_capture(folder / "made")
        return 1 if report(judge_recording(folder, recorded, with_macro=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
