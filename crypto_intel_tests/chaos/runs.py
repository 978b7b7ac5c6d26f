"""R16: what runs in Dagster is killed: a run's process, then it and its code server at once, then the daemon.

`python -m crypto_intel_tests.chaos.runs [FOLDER]`: starts `crypto-intel up` with Dagster and a simulated FRED, and for
each fault asks for a run over two years of all series, kills when it asks FRED, and waits until nothing runs any more.
Ends with 1 unless each range was loaded by a run that succeeded, no run stayed STARTED longer than its max_runtime and
120 s more, and every vintage is there once: as often as FRED has it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import psycopg
from dagster_graphql import DagsterGraphQLClient
from rich.console import Console
from rich.table import Table

from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS, SERIES_IDS
from crypto_intel.stack.dagster_home import DATABASE
from crypto_intel.stack.postgres import PostgresServer, with_database
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor

MAX_RUNTIME_S = 60
MARGIN_S = 120
PATIENCE_S = 600.0
WITHOUT = ("spark", "producer", "api", "dashboard", "exporter")
JOB, LOCATION, REPOSITORY = "macro_years", "crypto_intel", "__repository__"
_PLACE = f'repositoryLocationName: "{LOCATION}", repositoryName: "{REPOSITORY}"'
UNSETTLED = ("NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING")
_COUNT = "SELECT count(*) FROM runs WHERE status = ANY(%s)"
_OF_RANGE = (
    "SELECT r.status FROM runs r JOIN run_tags t ON t.run_id = r.run_id "
    "WHERE t.key = 'chaos/fault' AND t.value = %s ORDER BY r.create_timestamp"
)


class Platform:
    """The running stack.

    Args:
        root: its data folder.
    """

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.supervisor = Supervisor(self.folder.socket)
        state = self.folder.read()
        assert state is not None, f"no stack has run on {root}"
        self._port = state.ports["dagster"]
        self._dsn = with_database(PostgresServer(root / "postgres", state.ports["postgres"]).dsn, DATABASE)

    def query(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask Dagster's database."""
        with psycopg.connect(self._dsn) as connection:
            return connection.execute(text, parameters).fetchall()  # type: ignore[call-overload,no-any-return]

    def pid(self, part: str) -> int:
        """Process of a part."""
        return next(process.pid for process in self.supervisor.processes() if process.name == part)

    def submit(self, fault: str, years: tuple[int, int]) -> str:
        """Ask for a run over all series and these years; its id."""
        tags = {
            "dagster/asset_partition_range_start": f"{SERIES_IDS[0]}|{years[0]}",
            "dagster/asset_partition_range_end": f"{SERIES_IDS[-1]}|{years[1]}",
            "dagster/max_runtime": str(MAX_RUNTIME_S),
            "chaos/fault": fault,
        }
        client = DagsterGraphQLClient("127.0.0.1", port_number=self._port)
        return str(
            client.submit_job_execution(JOB, repository_location_name=LOCATION, repository_name=REPOSITORY, tags=tags)
        )

    def is_at_work(self, run_id: str) -> bool:
        """The run's own process asks FRED, and holds its pool: what it is killed with must become free."""
        return self.query("SELECT count(*) FROM concurrency_slots WHERE run_id = %s", run_id) == [(1,)]

    def is_ready(self) -> bool:
        """Dagster has made its tables, and its web server has loaded the code."""
        has_runs = self.query("SELECT to_regclass('public.runs') IS NOT NULL") == [(True,)]
        parts = [process for process in self.supervisor.processes() if process.name.startswith("dagster")]
        return has_runs and all(process.state == "RUNNING" for process in parts) and self._answers()

    def _answers(self) -> bool:
        query = f'{{pipelineOrError(params: {{pipelineName: "{JOB}", {_PLACE}}}) {{__typename}}}}'
        try:
            answer = httpx.post(f"http://127.0.0.1:{self._port}/graphql", json={"query": query}, timeout=30)
        except httpx.HTTPError:
            return False
        return answer.is_success and answer.json()["data"]["pipelineOrError"]["__typename"] == "Pipeline"

    def is_settled(self) -> bool:
        """Nothing runs or waits, and no failed run waits for its repetition."""
        return self.query(_COUNT, list(UNSETTLED)) == [(0,)]

    def workers(self) -> list[psutil.Process]:
        """Processes of runs: children of the code server that hold as much as it takes to run something."""
        children = psutil.Process(self.pid("dagster-code")).children(recursive=True)
        return [child for child in children if child.memory_info().rss > 100 * 2**20]


def kill_worker(platform: Platform) -> None:
    """The run's process."""
    for worker in platform.workers():
        worker.kill()


def kill_code_server(platform: Platform) -> None:
    """The code server and the run's process: nobody is left who could tell that the run is gone."""
    workers = platform.workers()
    psutil.Process(platform.pid("dagster-code")).kill()
    for worker in workers:
        worker.kill()


def kill_daemon(platform: Platform) -> None:
    """The daemon, which launches, watches and repeats runs."""
    psutil.Process(platform.pid("dagster-daemon")).kill()


FAULTS: dict[str, tuple[Callable[[Platform], None], tuple[int, int]]] = {
    "run's process": (kill_worker, (1990, 1991)),
    "code server and run's process": (kill_code_server, (2000, 2001)),
    "daemon": (kill_daemon, (2010, 2011)),
}


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> float:
    """Seconds until the condition held."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience_s:
            raise TimeoutError(f"{what}: not within {patience_s:g} s")
        time.sleep(0.5)
    return time.monotonic() - began


def judge(platform: Platform, fault: str) -> tuple[list[str], float]:
    """Do a fault to a run; the statuses of the runs of its range, and seconds until all was settled."""
    kill, years = FAULTS[fault]
    run_id = platform.submit(fault, years)
    until(lambda: platform.is_at_work(run_id), f"{fault}: the run begins")
    kill(platform)
    took_s = until(lambda: platform.is_settled() and _has_ended(platform, fault), f"{fault}: all is settled")
    return [status for (status,) in platform.query(_OF_RANGE, fault)], took_s


def _has_ended(platform: Platform, fault: str) -> bool:
    statuses = [status for (status,) in platform.query(_OF_RANGE, fault)]
    return statuses[-1] == "SUCCESS" or statuses.count("FAILURE") > 2


def doubled(lake: Path) -> tuple[int, int]:
    """Vintages in the lake, and how many stand there more than once."""
    rows = pl.read_delta(MACRO_FRED_OBSERVATIONS.path(str(lake)))
    return rows.height, rows.height - rows.select(MACRO_FRED_OBSERVATIONS.key).n_unique()


@contextmanager
def running(root: Path) -> Any:
    """The stack without what R16 does not need."""
    command = [sys.executable, "-m", "crypto_intel.cli"]
    place = ["--source", "sim", "--data-dir", str(root)]
    left_out = [option for part in WITHOUT for option in ("--without", part)]
    subprocess.run([*command, "up", *place, "--keep-up", *left_out], check=True, stdout=subprocess.DEVNULL)
    try:
        yield Platform(root)
    finally:
        subprocess.run([*command, "down", "--data-dir", str(root)], check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Exit code 0 only if all is whole."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="chaos-runs-"))
    table = Table("killed", "runs of the range", "settled after, s", title="R16", title_justify="left")
    is_good = True
    with running(root) as platform:
        until(platform.is_ready, "Dagster answers")
        until(platform.is_settled, "the first loads end")
        for fault in FAULTS:
            statuses, took_s = judge(platform, fault)
            is_good &= statuses[-1] == "SUCCESS" and took_s <= 2 * (MAX_RUNTIME_S + MARGIN_S)
            table.add_row(fault, ", ".join(statuses), f"{took_s:.0f}")
        rows, twice = doubled(root / "lake")
    Console().print(table, f"{rows:,} vintages, {twice} of them twice")
    return 0 if is_good and rows and not twice else 1


if __name__ == "__main__":
    sys.exit(main())
