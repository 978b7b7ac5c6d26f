"""R6: connections cut in every way, while trades flow; what the feed notices, how soon it is back, what it loses.

`python -m crypto_intel_tests.chaos.cuts [CUTS] [VENUE]`: 20 cuts of five kinds against the simulator by default, with
the settings of production. Ends with 1 if a goal is missed: silence noticed within 5 s, back within 3 s of the server
(p95), and every id that the venue handed out is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crypto_intel.contracts.events import FeedStatus
from crypto_intel_tests.streaming.producers.harness import (
    MemorySink,
    eventually,
    feeding,
    inject,
    producer_settings,
    simulated,
)
from streaming.producers.settings import Reconnect
from streaming.simulator.app import Simulator

KINDS: dict[str, float] = {"reset": 0.0, "close": 0.0, "silence": 7.0, "handshake": 4.0, "forced": 4.0}
"""Each kind, and for how many seconds: silent, deaf, or announced before it closes."""

NOTICED_S, BACK_S = 5.0, 3.0
_PATIENCE_S = 30.0
_FLOWING = 200  # trades between two cuts


class TimedSink(MemorySink):
    """Knows when a state was told (monotonic)."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[float, FeedStatus]] = []

    def status(self, event: FeedStatus) -> None:
        super().status(event)
        self.states.append((time.monotonic(), event))

    def first_after(self, moment: float, status: str) -> float | None:
        """When a state was first told behind a moment."""
        return next((at for at, event in self.states if at > moment and event.status == status), None)


@dataclass
class Report:
    """What the cuts did; seconds."""

    venue: str
    cuts: int = 0
    noticed_s: dict[str, list[float]] = field(default_factory=dict)
    back_s: dict[str, list[float]] = field(default_factory=dict)
    handed_over: int = 0
    lost: int = 0
    trades: int = 0

    @property
    def silence_noticed_s(self) -> float:
        """The longest that a silent connection was held to be alive."""
        return max(self.noticed_s.get("silence", [0.0]))

    @property
    def back_p95_s(self) -> float:
        """How soon it was back after the server was, but for one in twenty."""
        found = sorted(seconds for kind in self.back_s.values() for seconds in kind)
        return found[min(int(len(found) * 0.95), len(found) - 1)] if found else 0.0

    @property
    def is_good(self) -> bool:
        """Whether the goals are met; half a second of slack is the simulator's tick and the machine's."""
        return self.silence_noticed_s <= NOTICED_S + 0.5 and self.back_p95_s <= BACK_S and not self.lost


async def run(folder: Path, cuts: int, venue: str = "binance", kinds: Sequence[str] = tuple(KINDS)) -> Report:
    """Cut `cuts` times, kinds in turn, and account for every trade."""
    report, sink = Report(venue), TimedSink()
    async with simulated(folder, trades_per_second=500, kraken_share=1) as simulator:
        settings = producer_settings(simulator, reconnect=Reconnect().model_dump())
        async with feeding(settings, sink, venue=venue) as (feed, _):
            await eventually(lambda: len(sink.trades()) > _FLOWING, _PATIENCE_S)
            for number in range(cuts):
                await _cut(simulator, sink, report, kinds[number % len(kinds)])
            await eventually(lambda: not feed.repairer.open.ids and not feed._held, _PATIENCE_S)
            await feed.settle()
            report.lost = await lost_ids(simulator, sink, venue)
    report.trades = len(sink.trades())
    report.handed_over = len([s for s in sink.statuses("connected") if "handed over" in s.detail])
    return report


async def _cut(simulator: Simulator, sink: TimedSink, report: Report, kind: str) -> None:
    """One cut: wait until it was noticed and healed and trades flow again."""
    seconds, moment = KINDS[kind], time.monotonic()
    await inject(simulator, kind="cut", venue=report.venue, how=kind, seconds=seconds)
    await eventually(lambda: sink.first_after(moment, "connected"), _PATIENCE_S)
    lost, back = sink.first_after(moment, "disconnected"), sink.first_after(moment, "connected")
    assert back is not None
    if lost is not None and lost < back:
        report.noticed_s.setdefault(kind, []).append(round(lost - moment, 3))
        server_back = moment + seconds if kind == "handshake" else lost
        report.back_s.setdefault(kind, []).append(round(max(back - server_back, 0.0), 3))
    report.cuts += 1
    before = len(sink.trades())
    await eventually(lambda: len(sink.trades()) > before + _FLOWING, _PATIENCE_S)
    await eventually(lambda: time.monotonic() > moment + seconds + 0.2, seconds + 1)  # the next cut begins anew


async def lost_ids(simulator: Simulator, sink: MemorySink, venue: str) -> int:
    """Ids that the venue handed out and the feed did not pass on, as soon as what is on its way has arrived."""
    missing: dict[str, set[int]] = {}

    def is_whole() -> bool:
        there: dict[str, set[int]] = {}
        for trade in sink.trades():
            there.setdefault(f"{trade.venue}:{trade.symbol}", set()).add(trade.trade_id)
        missing.clear()
        for market, account in simulator.world.ledger.account.markets.items():
            if market.startswith(venue):
                handed_out = {i for first, last in account.intervals for i in range(first, last + 1)}
                missing[market] = handed_out - there.get(market, set())
        return not any(missing.values())

    with contextlib.suppress(AssertionError):
        await eventually(is_whole, 5.0)
    return sum(map(len, missing.values()))


def as_json(report: Any, **more: Any) -> str:
    """One line."""
    return json.dumps({**asdict(report), **more})


def main() -> int:
    """Run by hand."""
    cuts = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    venue = sys.argv[2] if len(sys.argv) > 2 else "binance"
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(run(Path(folder), cuts, venue))
    silence, back = report.silence_noticed_s, report.back_p95_s
    sys.stdout.write(as_json(report, silence_noticed_s=silence, back_p95_s=back, good=report.is_good) + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
