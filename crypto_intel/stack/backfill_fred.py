"""`crypto-intel backfill fred`: asks the running Dagster for one run over a range of series and years, and waits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from crypto_intel.contracts.macro import SERIES_IDS
from crypto_intel.stack.dagster_runs import run_job
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of

JOB = "macro_years"
FIRST_YEAR = 1980


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
    years = (first, last or datetime.now(UTC).year)
    if years[0] > years[1]:
        raise StackError(f"--from {years[0]} is behind --to {years[1]}")
    tags = {
        "dagster/asset_partition_range_start": f"{SERIES_IDS[0]}|{years[0]}",
        "dagster/asset_partition_range_end": f"{SERIES_IDS[-1]}|{years[1]}",
    }
    ended = run_job(folder, JOB, tags=tags, timeout_s=timeout_s)
    typer.echo(f"{years[0]} to {years[1]}: {ended}")
    raise typer.Exit(0 if ended.is_success else 1)
