"""The producer as a process: killed, restarted, stopped; with a real broker and a real recording."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from crypto_intel.contracts.events import FeedStatus, Heartbeat, Trade, decode
from crypto_intel.contracts.settings import Topics
from crypto_intel_tests.streaming.producers.harness import eventually, eventually_outside, replayed
from streaming.simulator.app import Simulator

pytestmark = pytest.mark.stack


def environment(simulator: Simulator, bootstrap: str, topics: Topics) -> dict[str, str]:
    rest = f"http://127.0.0.1:{simulator.rest_port}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_INTEL_")},
        "CRYPTO_INTEL_SOURCE": "replay",
        "CRYPTO_INTEL_CLOCK_URL": f"{rest}/sim/clock",
        "CRYPTO_INTEL_BINANCE__WS_URL": f"ws://127.0.0.1:{simulator.ws_port}/stream",
        "CRYPTO_INTEL_BINANCE__REST_URL": rest,
        "CRYPTO_INTEL_KAFKA__BOOTSTRAP": bootstrap,
        **{f"CRYPTO_INTEL_TOPICS__{name.upper()}": topic for name, topic in topics.model_dump().items()},
    }


@asynccontextmanager
async def producer(variables: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "streaming.producers", "binance"]
    process = await asyncio.create_subprocess_exec(*command, env=variables)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def written(bootstrap: str, topic: str) -> list[object]:
    """Events of a topic, partition by partition."""
    # Reads one partition after the other: what was asked for behind the end of one would be waited for at the next.
    own = {"group.id": "test", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
    consumer = Consumer({"bootstrap.servers": bootstrap, **own})
    events: list[object] = []
    for partition in range(3):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, low)])
        count = 0
        while count < high - low:
            messages = consumer.consume(high - low - count, timeout=10)
            count += len(messages)
            events += [decode(message.value()) for message in messages]
    consumer.close()
    return events


async def test_a_killed_producer_leaves_no_trade_behind(
    tmp_path: Path, shared_data: Path, kafka_bootstrap: str, own_topics: Topics
) -> None:
    async with replayed(tmp_path, shared_data / "binance" / "ws_raw", 150) as simulator:
        variables = environment(simulator, kafka_bootstrap, own_topics)
        async with producer(variables) as first:
            await eventually(lambda: simulator.world.hub.frames_sent > 5_000, 60)
            first.kill()
            await first.wait()
        async with producer(variables) as second:
            await eventually(lambda: simulator.world.ledger.account.ended, 60)
            await eventually_outside(
                lambda: any(
                    isinstance(e, FeedStatus) and e.status == "ended"
                    for e in written(kafka_bootstrap, own_topics.feed_status)
                ),
                60,
            )
            second.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(second.wait(), 30) == 0
    events = written(kafka_bootstrap, own_topics.trades)
    for symbol, count in {"BTC-USDT": 19_904, "ETH-USDT": 14_515}.items():
        assert len({e.trade_id for e in events if isinstance(e, Trade) and e.symbol == symbol}) == count
    assert sum(isinstance(e, Heartbeat) and e.ended for e in events) == 3
