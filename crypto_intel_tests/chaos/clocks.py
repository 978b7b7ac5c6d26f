"""R12: the ingester's machine has a wrong clock, ten minutes ahead or behind.

The real producer is a process whose Python tells a wrong time; the simulator keeps right time, the broker is a real
one. (Not under libfaketime, where it stood still at its start.)
What it wrote is read back: every trade that the venue handed out is there, none behind a sign that closed its window,
and the dead letters hold the trades of the future alone.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from crypto_intel.contracts.events import Event, Heartbeat, Rejected, Trade, decode
from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.kafka import create_topics
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import Verdict
from crypto_intel_tests.chaos.load import DELAY_US, MINUTE_US, PARTITIONS
from crypto_intel_tests.chaos.scale import Tell
from crypto_intel_tests.chaos.table import Row
from crypto_intel_tests.streaming.producers.harness import eventually, inject, simulated
from streaming.simulator.app import Simulator
from streaming.simulator.ledger import Account

OFF_S = 600
_LAUNCH = """
import runpy, sys, time
off_s, true_s, true_ns = int(sys.argv.pop(1)), time.time, time.time_ns
time.time, time.time_ns = lambda: true_s() + off_s, lambda: true_ns() + off_s * 10**9
runpy.run_module("streaming.producers", run_name="__main__", alter_sys=True)
"""
FUTURE = 10
MARKET = "BTC-USDT"
FRAMES = 10_000
TRUSTED_US = 5_000_000
"""So far a time of receipt may be from the trade's own."""


def wrong_clocks(ground: Ground, tell: Tell) -> list[Row]:
    """The producer's clock ahead, then behind."""
    return [_wrong_clock(ground, off_s, tell) for off_s in (OFF_S, -OFF_S)]


def _wrong_clock(ground: Ground, off_s: int, tell: Tell) -> Row:
    mark = uuid.uuid4().hex[:8]
    topics = Topics(**{field: f"{topic}_{mark}" for field, topic in Topics().model_dump().items()})
    create_topics(ground.bootstrap, topics.all)
    folder = ground.folder / f"clock-{mark}"
    folder.mkdir()
    tell(f"the producer's clock is {off_s:+} s off")
    account = asyncio.run(_flow(folder, ground.bootstrap, topics, off_s))
    verdict = Verdict()
    events = [events_of(ground.bootstrap, topics.trades, number) for number in range(PARTITIONS)]
    judge_trades(events, account, verdict)
    rejected = [e for n in range(PARTITIONS) for e in events_of(ground.bootstrap, topics.dead_letters, n)]
    reasons = [event.reason for event in rejected if isinstance(event, Rejected)]
    verdict.add(f"dead letters {reasons[:20]}", wrong=int(reasons != ["future_time"] * FUTURE))
    count = sum(map(len, events)) + len(rejected)
    fault = f"the producer's clock {abs(off_s) // 60} minutes {'ahead' if off_s > 0 else 'behind'}, {FUTURE} trades"
    return Row("R12", f"{fault} dated a day ahead: these alone refused, none late", 1, verdict, count)


async def _flow(folder: Path, bootstrap: str, topics: Topics, off_s: int) -> Account:
    async with simulated(folder, trades_per_second=500) as simulator:
        with (folder / "producer.log").open("wb") as log:
            command = [sys.executable, "-c", _LAUNCH, str(off_s), "binance"]
            environment = _environment(simulator, bootstrap, topics)
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        try:
            await eventually(lambda: simulator.world.hub.frames_sent > FRAMES / 2, 180)
            await inject(simulator, kind="future", symbol=MARKET, venue="binance", count=FUTURE)
            await eventually(lambda: simulator.world.hub.frames_sent > FRAMES, 180)
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)
        return simulator.world.ledger.account


def _environment(simulator: Simulator, bootstrap: str, topics: Topics) -> dict[str, str]:
    rest = f"http://127.0.0.1:{simulator.rest_port}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_INTEL_")},
        "CRYPTO_INTEL_SOURCE": "sim",
        "CRYPTO_INTEL_BINANCE__WS_URL": f"ws://127.0.0.1:{simulator.ws_port}/stream",
        "CRYPTO_INTEL_BINANCE__REST_URL": rest,
        "CRYPTO_INTEL_BINANCE__HEARTBEAT_S": "0.5",
        "CRYPTO_INTEL_KAFKA__BOOTSTRAP": bootstrap,
        **{f"CRYPTO_INTEL_TOPICS__{name.upper()}": topic for name, topic in topics.model_dump().items()},
    }


def judge_trades(partitions: list[list[Event]], account: Account, verdict: Verdict) -> None:
    """Hold what was written, in order by partition, to the venue's account: all there, in time, rightly dated."""
    trades = [event for events in partitions for event in events if isinstance(event, Trade)]
    there: dict[str, set[int]] = {}
    for trade in trades:
        there.setdefault(f"{trade.venue}:{trade.symbol}", set()).add(trade.trade_id)
    for market, ids in there.items():
        newest = max(ids)  # what was handed out behind it was on its way when the producer was stopped
        intervals = account.market(market).intervals
        handed_out = {i for first, last in intervals for i in range(first, min(last, newest) + 1)}
        verdict.add(market, lost=len(handed_out - ids))
    verdict.add("no trades", lost=int(len(trades) < FRAMES / 4))
    verdict.add("late trades", lost=sum(map(_late, partitions)))
    live = [trade for trade in trades if trade.origin == "ws"]
    odd = [t for t in live if abs(t.received_at - t.event_time) > TRUSTED_US]
    verdict.add("times of receipt", wrong=len(odd))
    beats = [event for events in partitions for event in events if isinstance(event, Heartbeat)]
    now_us = time.time_ns() // 1000
    verdict.add("no heartbeats, or ahead", wrong=int(not beats) + sum(beat.event_time > now_us for beat in beats))


def _late(events: list[Event]) -> int:
    # Trades behind a sign of their market that closed their window, as bars count it.
    clock: dict[str, int] = {}
    late = 0
    for event in events:
        if isinstance(event, Heartbeat):
            for symbol in event.symbols:
                clock[symbol] = max(clock.get(symbol, 0), event.event_time)
        elif isinstance(event, Trade) and event.origin == "ws":
            reached = clock.get(event.symbol, 0) - DELAY_US
            late += event.event_time < reached - reached % MINUTE_US
            clock[event.symbol] = max(clock.get(event.symbol, 0), event.event_time)
    return late


def events_of(bootstrap: str, topic: str, partition: int) -> list[Event]:
    """Everything of a partition, in order."""
    own = {"group.id": "chaos", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": bootstrap, **own})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    found: list[Event] = []
    while len(found) < end:
        messages = consumer.consume(end - len(found), timeout=10)
        assert messages, f"{len(found)} of {end} records of {topic}"
        found += [decode(message.value() or b"") for message in messages]
    consumer.close()
    return found
