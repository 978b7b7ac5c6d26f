"""R7: gaps of 1 to 5,000 ids, duplicates and reordering while trades flow, and REST that is busy, slow or empty first.

`python -m crypto_intel_tests.chaos.gaps [TRADES] [VENUE]`: 100,000 trades by default. Ends with 1 if a goal is missed:
every missing id is back within 30 s or told as open, nothing that the venue handed out is lost, and one row an id
is left when repeats are dropped.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from crypto_intel_tests.chaos.cuts import TimedSink, as_json, lost_ids
from crypto_intel_tests.streaming.producers.harness import eventually, feeding, inject, producer_settings, simulated
from streaming.producers.feed import TradeFeed
from streaming.producers.settings import Reconnect
from streaming.simulator.app import Simulator

RATE = 3_000
BUDGET_S = 30.0
SIZES = (1, 3, 40, 400, 5_000)
_PATIENCE_S = 180.0
_MARKETS = {
    "binance": ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"),
    "kraken": ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"),
}


@dataclass
class Report:
    """What was injected, and what became of it."""

    venue: str
    trades: int = 0
    injected: int = 0
    missing: int = 0
    repaired: int = 0
    unrecoverable: int = 0
    open_ids: int = 0
    slowest_repair_s: float = 0.0
    repeated: int = 0
    lost: int = 0
    rejected: int = 0

    @property
    def is_good(self) -> bool:
        """Whether the goals are met."""
        settled = self.repaired + self.unrecoverable + self.open_ids >= self.missing
        return settled and self.slowest_repair_s <= BUDGET_S and not self.lost and not self.rejected


async def run(folder: Path, trades: int, venue: str = "binance", seed: int = 7, pause: int = 2_000) -> Report:
    """Inject while `trades` flow, a fault each `pause` trades, then wait for what is open."""
    report, sink, rng = Report(venue), TimedSink(), Random(seed)
    async with simulated(folder, trades_per_second=RATE, kraken_share=1) as simulator:
        settings = producer_settings(simulator, reconnect=Reconnect().model_dump())
        async with feeding(settings, sink, venue=venue) as (feed, _):
            due = pause
            while due < trades:
                await eventually(partial(_has, sink, due), _PATIENCE_S)
                await _fault(simulator, report, rng)
                due += pause
            await eventually(lambda: len(sink.trades()) >= trades, _PATIENCE_S)
            await eventually(lambda: _is_settled(feed), _PATIENCE_S)
            report.lost = await lost_ids(simulator, sink, venue)
        _account(report, sink, feed)
    return report


def _has(sink: TimedSink, trades: int) -> bool:
    return len(sink.trades()) >= trades


async def _fault(simulator: Simulator, report: Report, rng: Random) -> None:
    """One fault of frames, and often one of REST that meets its repair."""
    symbol = rng.choice(_MARKETS[report.venue])
    count = rng.choice(SIZES)
    choices: list[dict[str, Any]] = [
        {"kind": "gap", "count": count, "symbol": symbol},
        {"kind": "gap", "count": count, "symbol": symbol},
        {"kind": "duplicate", "count": min(count, 500)},
        {"kind": "reorder", "count": min(count, 40) + 1, "symbol": symbol},
    ]
    troubles: list[dict[str, Any]] = [
        {"kind": "rest_error", "count": 2, "status": 503},
        {"kind": "rest_error", "count": 1, "status": 429, "retry_after_s": 1},
        {"kind": "rest_empty", "count": 2},
        {"kind": "rest_slow", "count": 1, "seconds": 0.5},
    ]
    for request in (rng.choice(choices), *rng.sample(troubles, rng.randrange(3))):
        await inject(simulator, venue=report.venue, **request)
        report.injected += 1


def _is_settled(feed: TradeFeed) -> bool:
    return not feed._held and not feed.repairer.open.ids


def _account(report: Report, sink: TimedSink, feed: TradeFeed) -> None:
    """Ids told and ids back, and how long each took."""
    opened: dict[tuple[str | None, int], float] = {}
    for at, event in sink.states:
        ids = range(event.first_id or 0, (event.last_id or -1) + 1)
        if event.status == "gap":
            opened |= {(event.symbol, i): at for i in ids if (event.symbol, i) not in opened}
            report.missing = len(opened)
        elif event.status == "repaired":
            report.repaired += len(ids)
            slowest = max((at - opened[event.symbol, i] for i in ids if (event.symbol, i) in opened), default=0.0)
            report.slowest_repair_s = round(max(report.slowest_repair_s, slowest), 3)
        elif event.status == "unrecoverable":
            report.unrecoverable += len(ids)
    report.trades = len(sink.trades())
    report.repeated = report.trades - len({(trade.symbol, trade.trade_id) for trade in sink.trades()})
    report.open_ids = feed.repairer.open.ids
    report.rejected = len(sink.rejected())


def main() -> int:
    """Run by hand."""
    trades = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    venue = sys.argv[2] if len(sys.argv) > 2 else "binance"
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(run(Path(folder), trades, venue))
    sys.stdout.write(as_json(report, good=report.is_good) + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
