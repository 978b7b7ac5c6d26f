"""Which producers a source needs: a process for each venue that trades, one for all that is polled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crypto_intel.contracts.parts import NEWS_FEEDS, QUOTE_FEEDS, TRADE_VENUES
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.state import StackState

POLLED = (*NEWS_FEEDS, *QUOTE_FEEDS)
TRADES = TRADE_VENUES

SIMULATED_RSS = {
    "herald": "Simulated Herald",
    "telegram": "Simulated Telegram",
    "decoder": "Simulated Decoder",
    "magazine": "Simulated Magazine",
    "ledger": "Simulated Ledger",
}
"""The simulator's RSS feeds: name of the page and of the publisher."""

_WS_PATHS = {"binance": "", "kraken/v2": "/v2", "kraken/v1": ""}
"""Path of a protocol on the simulator's WebSocket port."""


def producers(state: StackState) -> dict[str, tuple[str, ...]]:
    """Names of the producers' parts and the feeds of each. A recording brings its own venues, and simulated news.

    On a simulated market only what the simulator speaks is started: another venue's producer would ask the real one.
    """
    trades = TRADES if state.source == "live" else tuple(ws_paths(state))
    polled = NEWS_FEEDS if state.source == "replay" else POLLED
    return {**{f"producer-{venue}": (venue,) for venue in trades}, "producer-pollers": polled}


def feeds(state: StackState) -> frozenset[str]:
    """All feeds."""
    return frozenset(feed for names in producers(state).values() for feed in names)


def ws_paths(state: StackState) -> Mapping[str, str]:
    """Path on the simulator's WebSocket port by venue."""
    if state.source != "replay" or state.capture is None:
        return {"binance": _WS_PATHS["binance"], "kraken": _WS_PATHS["kraken/v2"]}
    protocols = _recorded(state.capture)
    return {protocol.partition("/")[0]: _WS_PATHS[protocol] for protocol in protocols}


def _recorded(capture: Path) -> list[str]:
    """The protocols of a recording; of two versions of one venue's the newer one, last."""
    from streaming.errors import FatalError
    from streaming.recorder.folder import recorded_files

    try:
        firsts = [next(iter(file.lines()), None) for file in recorded_files(capture)]
    except FatalError as error:
        raise StackError(str(error), "name a folder with a recording: --capture PATH") from None
    return sorted({line.protocol for line in firsts if line})
