"""The past of tracked coins, through a real broker: every point once a run, and a coin that fails leaves the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crypto_intel.contracts.events import FeedStatus, Quote, Rejected
from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel_tests.streaming.producers.harness import simulated
from crypto_intel_tests.streaming.producers.test_process import written
from streaming.producers.coingecko_history import backfill
from streaming.producers.settings import ProducerSettings

pytestmark = pytest.mark.stack


async def test_the_past_of_each_coin_is_written_and_a_coin_that_fails_is_named(
    tmp_path: Path, kafka_bootstrap: str, own_topics: Topics
) -> None:
    asked: list[str] = []
    async with simulated(tmp_path) as simulator:
        rest = f"http://127.0.0.1:{simulator.rest_port}"
        more: dict[str, Any] = {"coingecko": {"url": rest, "coins": "bitcoin,nope=NOPE,ethereum"}}
        settings = ProducerSettings(
            source="sim",
            data_dir=tmp_path / "data",
            clock_url=f"{rest}/sim/clock",
            kafka=Kafka(bootstrap=kafka_bootstrap),
            topics=own_topics,
            **more,
        )
        brought = await backfill(settings, 1, asked.append)
    quotes = [event for event in written(kafka_bootstrap, own_topics.quotes) if isinstance(event, Quote)]
    times = {(quote.symbol, quote.event_time) for quote in quotes}
    assert {symbol for symbol, _ in times} == {"BTC-USD", "ETH-USD"}
    assert len(times) == len(quotes) == brought.quotes > 500
    assert brought.rejected == len(
        [e for e in written(kafka_bootstrap, own_topics.dead_letters) if isinstance(e, Rejected)]
    )
    assert list(brought.failed) == [asked[1]]
    assert "coin not found" in brought.failed[asked[1]]
    assert not [e for e in written(kafka_bootstrap, own_topics.feed_status) if isinstance(e, FeedStatus)]
