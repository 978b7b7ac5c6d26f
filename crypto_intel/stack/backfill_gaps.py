"""`crypto-intel backfill gaps`: has the running Dagster fetch the trades that are missing now, without its waits."""

from __future__ import annotations

from typing import Annotated

import typer

from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.stack.dagster_runs import run_job
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of


def gaps(
    venue: Annotated[str | None, typer.Option(help="One of them alone; default: every venue.")] = None,
    source: SourceOption = None,
    data_dir: DataDirOption = None,
    timeout_s: Annotated[float, typer.Option(min=1, help="How long to wait for a run.")] = 600,
) -> None:
    """Fetch by id the trades that feeds told as missing and nobody has brought, however old: a run a venue.

    What is missing is told by `crypto-intel status` and by public.gaps. A run takes CRYPTO_INTEL_REFETCH__LIMIT_IDS
    ids, the newest gaps first; repeat it for more. Minutes, hours and alerts that they belong to follow by themselves.
    """
    if venue is not None and venue not in TRADE_VENUES:
        raise StackError(f"no venue '{venue}'", f"there are: {', '.join(TRADE_VENUES)}")
    folder = folder_of(source, data_dir)
    is_good = True
    for name in [venue] if venue else TRADE_VENUES:
        ended = run_job(folder, f"missing_trades_{name}", timeout_s=timeout_s)
        typer.echo(f"{name}: {ended}")
        is_good &= ended.is_success
    raise typer.Exit(0 if is_good else 1)
