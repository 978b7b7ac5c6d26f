"""`crypto-intel backfill ...`: brings the past of a source into a running stack."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of

app = typer.Typer(name="backfill", no_args_is_help=True, help="Bring the past of a source into a running stack.")


@app.command(epilog="`crypto-intel backfill quotes --days 90`")
def quotes(
    days: Annotated[int, typer.Option(min=1, max=3650, help="1: points of 5 minutes; to 90: of an hour; else a day.")],
    source: SourceOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write the past of every tracked coin, from CoinGecko, to the quotes topic; repeating it changes nothing.

    Keeps within CoinGecko's budget of requests, so many coins on the free plan take some minutes.
    """
    from rich.console import Console
    from rich.progress import Progress

    from crypto_intel.stack.launch import attach, environment_of
    from crypto_intel.stack.settings import load_settings
    from crypto_intel.stack.supervisor_client import Supervisor
    from streaming.producers.coingecko_history import backfill
    from streaming.producers.settings import ProducerSettings

    folder = folder_of(source, data_dir)
    if not Supervisor(folder.socket).answers():
        raise StackError(f"no stack runs on {folder.root}", "start it first: crypto-intel up")
    with environment_of(attach(folder, load_settings(), lambda _: None)), Progress(console=Console(stderr=True)) as bar:
        wanted = ProducerSettings()
        task = bar.add_task("quotes", total=len(wanted.coingecko.tickers))
        brought = asyncio.run(
            backfill(wanted, days, lambda ticker: bar.update(task, advance=1, description=f"quotes of {ticker}"))
        )
    typer.echo(f"{brought.quotes:,} quotes written, {brought.rejected:,} points rejected with a reason")
    for ticker, reason in brought.failed.items():
        typer.echo(f"{ticker}: {reason}", err=True)
    raise typer.Exit(1 if brought.failed else 0)
