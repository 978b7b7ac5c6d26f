"""`crypto-intel record`: a thin shell over streaming/recorder."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.stack.errors import StackError


def record(
    *,
    venue: Annotated[str, typer.Option(help=f"Whose WebSocket: {' or '.join(TRADE_VENUES)}.")],
    out: Annotated[Path, typer.Option(help="Folder for the recording; must hold none yet.")],
    symbols: Annotated[str | None, typer.Option(help="BTC-USDT,ETH-USDT; default: those of the producer.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="How long; default: until Ctrl-C.")] = None,
    url: Annotated[str | None, typer.Option(help="Another address, e.g. of a simulator or a proxy.")] = None,
) -> None:
    """Record a venue's messages, untouched and with the times of their receipt, for `up --source replay --capture`.

    Files are compressed, checksummed and rotated; `provenance.json` beside them says where they come from.
    """
    import uvloop

    from streaming.errors import FatalError
    from streaming.log import configure_log

    configure_log()
    try:
        provenance = uvloop.run(_until_signalled(venue, out, symbols, seconds, url))
    except FatalError as error:
        raise StackError(str(error)) from error
    except ValueError as error:  # a symbol that is none
        raise StackError(str(error), "symbols are BASE-QUOTE, separated by commas") from error
    files = sum(facts.bytes for facts in provenance.files)
    typer.echo(
        f"{provenance.messages:,} messages of {provenance.venue} in {len(provenance.files)} files, "
        f"{provenance.message_bytes:,} bytes in {files:,}, {provenance.disconnects} disconnects: {out}"
    )


async def _until_signalled(venue: str, out: Path, symbols: str | None, seconds: float | None, url: str | None) -> Any:
    from crypto_intel.contracts.symbols import Symbol
    from streaming.producers.settings import ProducerSettings
    from streaming.recorder.recorder import record as record_venue

    wanted = [Symbol(part) for part in (symbols or "").split(",") if part.strip()]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await record_venue(venue, out, ProducerSettings(), symbols=wanted, url=url, seconds=seconds, stop=stop)
