"""`crypto-intel inject`: faults at the simulated venues of a running stack, to see them found and mended."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, folder_of
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.state import Folder
from streaming.simulator.kinds import CutStyle, FaultKind

TIMEOUT_S = 10


def send(folder: Folder, fault: dict[str, Any]) -> dict[str, Any]:
    """Ask the folder's simulator for a fault; returns what it understood.

    Args:
        fault: fields of streaming.simulator.faults.Injection.

    Raises:
        StackError: no simulated stack runs there, or the simulator refuses; says what is allowed.
    """
    state = folder.read()
    if state is None or "simulator_rest" not in state.ports:
        raise StackError(f"no simulated market on {folder.root}", "faults are for `crypto-intel up --source sim`")
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{state.ports['simulator_rest']}/sim/inject", data=json.dumps(fault).encode()
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
            return told
    except urllib.error.HTTPError as error:
        raise StackError(f"the simulator refuses: {error.read().decode(errors='replace')[:500]}") from None
    except OSError as error:
        raise StackError(f"the simulator does not answer: {error}", "start it: crypto-intel up --source sim") from None


def inject(
    kind: Annotated[FaultKind, typer.Argument(help="What goes wrong.")],
    *,
    symbol: Annotated[str | None, typer.Option(help="Market, e.g. BTC-USDT; default: all of the venue.")] = None,
    venue: Annotated[str | None, typer.Option(help="binance, kraken, or a REST source; default: all.")] = None,
    count: Annotated[int, typer.Option("--ids", "--count", min=1, help="How many trades, copies, requests.")] = 1,
    how: Annotated[CutStyle, typer.Option(help="Of a cut.")] = "reset",
    seconds: Annotated[float, typer.Option(min=0, help="Of a cut or a slow page: how long.")] = 5.0,
    skew_s: Annotated[float, typer.Option(help="Of clock_skew: by how much.")] = 0.0,
    status: Annotated[int, typer.Option(min=200, max=599, help="Of rest_error.")] = 503,
    data_dir: DataDirOption = None,
) -> None:
    """Make something go wrong at the simulated venues of a running stack.

    A gap withholds the next trades, which the venue's REST pages still have: the feed finds the hole by the trades'
    ids and fetches them. A news_burst is so many stories about a market's base at once. See
    streaming/simulator/README.md for each kind.
    """
    fault = {"kind": kind, "symbol": symbol, "venue": venue, "count": count, "how": how}
    told = send(folder_of("sim", data_dir), {**fault, "seconds": seconds, "skew_s": skew_s, "status": status})
    where = told.get("symbol") or told.get("venue") or "every market"
    typer.echo(f"{told['kind']} injected at {where}; see `crypto-intel status`, then `crypto-intel verify`")
