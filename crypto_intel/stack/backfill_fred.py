"""`crypto-intel backfill fred`: asks the running Dagster for one run over a range of series and years, and waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of
from crypto_intel.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient

JOB, LOCATION, REPOSITORY = "macro_years", "crypto_intel", "__repository__"
FIRST_YEAR = 1980
POLL_S = 1.0


def fred(
    *,
    first: Annotated[int, typer.Option("--from", min=FIRST_YEAR, help="First year of observations.")] = FIRST_YEAR,
    last: Annotated[int | None, typer.Option("--to", min=FIRST_YEAR, help="Last year; default: this one.")] = None,
    source: SourceOption = None,
    data_dir: DataDirOption = None,
    timeout_s: Annotated[float, typer.Option(min=1, help="How long to wait for the run.")] = 900,
) -> None:
    """Load every FRED series of these years with all of its vintages: one run, one request a series.

    Repeating it changes nothing; a value that was revised since is added beside the one before.
    """
    folder = folder_of(source, data_dir)
    state = folder.read()
    if state is None or "dagster" not in state.ports:
        raise StackError(f"no stack runs on {folder.root}", "start it first: crypto-intel up")
    years = (first, last or datetime.now(UTC).year)
    if years[0] > years[1]:
        raise StackError(f"--from {years[0]} is behind --to {years[1]}")
    started = time.monotonic()
    run_id, status = _run(state.ports["dagster"], years, timeout_s)
    address = f"http://{LOOPBACK}:{state.ports['dagster']}/runs/{run_id}"
    typer.echo(f"{years[0]} to {years[1]}: {status} after {time.monotonic() - started:.0f} s; {address}")
    raise typer.Exit(0 if status == "SUCCESS" else 1)


def _run(port: int, years: tuple[int, int], timeout_s: float) -> tuple[str, str]:
    """Id and final status of a run over all series and the years."""
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    from crypto_intel.contracts.macro import SERIES_IDS

    tags = {
        "dagster/asset_partition_range_start": f"{SERIES_IDS[0]}|{years[0]}",
        "dagster/asset_partition_range_end": f"{SERIES_IDS[-1]}|{years[1]}",
    }
    try:
        client = DagsterGraphQLClient(LOOPBACK, port_number=port)
        run_id = client.submit_job_execution(
            JOB, repository_location_name=LOCATION, repository_name=REPOSITORY, tags=tags
        )
        return run_id, _wait(client, run_id, timeout_s)
    except (DagsterGraphQLClientError, OSError) as error:
        raise StackError(f"Dagster does not take the run: {str(error)[:500]}") from error


def _wait(client: DagsterGraphQLClient, run_id: str, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    while True:
        status = client.get_run_status(run_id).value
        if status in {"SUCCESS", "FAILURE", "CANCELED"}:
            return str(status)
        if time.monotonic() > deadline:
            raise StackError(f"run {run_id} is still {status} after {timeout_s:.0f} s", "it goes on; see Dagster")
        time.sleep(POLL_S)
