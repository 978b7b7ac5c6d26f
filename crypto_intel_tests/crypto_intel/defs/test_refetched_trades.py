"""A gap that its producer leaves open: found in the ledger, asked for once, fetched by a run through Kafka, closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from crypto_intel.automation.refetching import open_gaps_sensor
from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES
from crypto_intel.core.gaps import fold
from crypto_intel.core.refetching import Stretch
from crypto_intel.operations.refetching import missing_ids, plan
from crypto_intel.resources.lake import Lake
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.defs.test_gaps import told
from crypto_intel_tests.crypto_intel.lakes import HOUR
from crypto_intel_tests.streaming.producers.harness import eventually, feeding, inject, producer_settings, simulated
from streaming.producers.feed import TradeFeed
from streaming.producers.gaps import Gap
from streaming.producers.kafka import KafkaSink
from streaming.producers.last_trades import last_trades
from streaming.producers.missing import Missing
from streaming.producers.settings import ProducerSettings
from streaming.simulator.app import Simulator
from streaming.transforms.decode import Records, decode

pytestmark = pytest.mark.stack

BTC = "BTC-USDT"
IDS = 40
Market = tuple[str, str]
MINUTE = timedelta(minutes=1)


class Ingest:
    """What stands in Kafka, into the lake by the platform's own decoding: each record once."""

    def __init__(self, kafka: Kafka, topics: Topics, lake: Path) -> None:
        self.kafka = kafka
        self.topics = topics
        self.lake = lake
        self._read: dict[tuple[str, int], int] = {}

    def catch_up(self) -> None:
        """All that Kafka has by now."""
        own = {"group.id": "test", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        consumer = Consumer({**self.kafka.client_config(), **own})
        try:
            for topic in (self.topics.trades, self.topics.feed_status):
                for partition in range(3):
                    self._append((topic, partition), self._messages(consumer, topic, partition))
        finally:
            consumer.close()

    def _messages(self, consumer: Consumer, topic: str, partition: int) -> list[Message]:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        start = self._read.get((topic, partition), low)
        consumer.assign([TopicPartition(topic, partition, start)])
        found: list[Message] = []
        while len(found) < high - start:
            found += consumer.consume(high - start - len(found), timeout=10)
        return found

    def _append(self, place: tuple[str, int], messages: list[Message]) -> None:
        self._read[place] = self._read.get(place, 0) + len(messages)
        offsets = pl.Series([message.offset() for message in messages], dtype=pl.Int64)
        times = pl.Series([message.timestamp()[1] for message in messages], dtype=pl.Int64)
        records = Records(*place, [message.value() or b"" for message in messages], offsets, times)
        for table, rows in decode(records).bronze.items():
            if table in {BRONZE_TRADES, BRONZE_FEED_STATUS} and rows.height:
                lakes.append(self.lake, table, rows)


@pytest.fixture
def ingest(kafka_bootstrap: str, own_topics: Topics, lake_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """Topics of its own, which the environment names as it does for runs."""
    monkeypatch.setenv("CRYPTO_INTEL_KAFKA__BOOTSTRAP", kafka_bootstrap)
    for name, topic in own_topics.model_dump().items():
        monkeypatch.setenv(f"CRYPTO_INTEL_TOPICS__{name.upper()}", topic)
    return Ingest(Kafka(bootstrap=kafka_bootstrap), own_topics, lake_path)


@pytest.fixture
async def simulator(tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    """A market whose gaps are a run's to fetch once they were seen"""
    async with simulated(tmp_path, trades_per_second=200) as found:
        for venue in TRADE_VENUES:
            monkeypatch.setenv(f"CRYPTO_INTEL_{venue.upper()}__REST_URL", f"http://127.0.0.1:{found.rest_port}")
        monkeypatch.setenv("CRYPTO_INTEL_KRAKEN__REST_PER_S", "100")
        monkeypatch.setenv("CRYPTO_INTEL_REFETCH__AFTER_S", "0.05")
        yield found


@asynccontextmanager
async def producing(settings: ProducerSettings, sink: KafkaSink, market: Market) -> AsyncIterator[TradeFeed]:
    """A producer that goes on where Kafka says."""
    venue, symbol = market
    last = await asyncio.to_thread(last_trades, settings.kafka, settings.topics.trades, venue, [symbol])
    async with feeding(settings, sink, last, venue) as (feed, _):  # type: ignore[arg-type]
        await eventually(lambda: feed.counts["ws"] > 20)
        yield feed
    await sink.flush()


async def left_open(simulator: Simulator, settings: ProducerSettings, sink: KafkaSink, market: Market) -> None:
    """A gap whose repair takes longer than its budget, and whose producer then ends."""
    venue, symbol = market
    async with producing(settings, sink, market) as feed:
        await inject(simulator, kind="rest_slow", venue=venue, seconds=5, count=1)
        await inject(simulator, kind="gap", venue=venue, symbol=symbol, count=IDS)
        await eventually(lambda: feed.repairer.open.ids == IDS)


def run(graph: dg.Definitions, request: dg.RunRequest) -> dict[str, Any]:
    """The requested run's materialization, by name of its metadata."""
    job = graph.resolve_job_def(str(request.job_name))
    result = job.execute_in_process(run_config=request.run_config, tags=request.tags)
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


@pytest.mark.parametrize("market", [("binance", BTC), ("kraken", "BTC-USD")])
async def test_a_gap_that_a_producer_left_open_is_repaired_by_a_run_beside_the_next_producer(
    simulator: Simulator, ingest: Ingest, graph: dg.Definitions, tick: Tick, market: Market
) -> None:
    venue, symbol = market
    own = producer_settings(simulator, repair={"budget_s": 0.3}, **{venue: {"symbols": symbol}})
    settings = own.model_copy(update={"kafka": ingest.kafka, "topics": ingest.topics})
    sink = KafkaSink(ingest.kafka, ingest.topics, feed_topic=ingest.topics.trades, client_id="test")
    await left_open(simulator, settings, sink, market)
    async with producing(settings, sink, market):
        ingest.catch_up()
        first = tick(open_gaps_sensor)
        await asyncio.sleep(0.05)  # what the setting says: until then the gap is its producer's
        second = tick(open_gaps_sensor, first.cursor)
        assert first.run_requests == []
        (request,) = second.run_requests or []
        metadata = await asyncio.to_thread(run, graph, request)
        again = await asyncio.to_thread(run, graph, request)  # before the lake has what the first one brought
    ingest.catch_up()
    figures = ("ids_asked", "ids_found", "ids_gone", "ids_missing_still")
    assert [metadata[name] for name in figures] == [again[name] for name in figures] == [IDS, IDS, 0, 0]
    assert metadata["minutes_hit"] in {1, 2} and f"| {IDS} |" in metadata["preview"]

    lake = Lake(root=str(ingest.lake))
    ledger = fold(lake.scan(BRONZE_FEED_STATUS).collect())
    assert set(ledger["state"]) == {"repaired"}  # what passed between the two producers is a gap, too
    assert ledger.row(0, named=True)["repaired_count"] == IDS
    trades = lake.scan(BRONZE_TRADES).filter(pl.col("symbol") == symbol).collect()
    ids = trades["trade_id"].unique().sort()
    assert ids.diff().drop_nulls().unique().to_list() == [1]
    assert trades.height - ids.len() >= IDS  # each was fetched twice, and is one trade by its id
    third = tick(open_gaps_sensor, second.cursor)
    assert third.run_requests == [] and '"watched":{}' in str(third.cursor)


def test_ids_that_are_here_though_nobody_said_so_are_not_asked_for(lake: Lake, lake_path: Path) -> None:
    at = HOUR + 21 * MINUTE
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(n, at) for n in (8, 9, 12, 13, 30)])
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("gap", 10, 15, at), told("gap", 20, 24, at + MINUTE)])
    since = int(at.timestamp() * 1_000_000)
    found = plan(lake, "binance", [], limit_ids=100)
    assert found.here == [Missing(BTC, Gap(12, 13))]
    assert found.wanted == [Missing(BTC, Gap(*ids, since)) for ids in ((20, 24), (10, 11), (14, 15))]
    assert plan(lake, "binance", [], limit_ids=3).wanted == [Missing(BTC, Gap(20, 22, since))]
    assert plan(lake, "binance", [Stretch(BTC, 1, 10)], limit_ids=100).wanted == [Missing(BTC, Gap(10, 10, since))]
    assert plan(lake, "kraken", [], limit_ids=100) == ([], [])


def test_a_tick_without_news_reads_no_statuses_of_days(
    lake: Lake, lake_path: Path, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tick(open_gaps_sensor).run_requests == []
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("gap", 10, 15, HOUR), told("repaired", 10, 15, HOUR + MINUTE)])
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(HOUR + 10 * MINUTE, HOUR + 11 * MINUTE))
    first = tick(open_gaps_sensor)
    looks = []
    monkeypatch.setattr("crypto_intel.automation.refetching.missing_ids", lambda *args: looks.append(args))
    second = tick(open_gaps_sensor, first.cursor)
    assert looks == [] and second.run_requests == []
    assert missing_ids(lake).is_empty()
