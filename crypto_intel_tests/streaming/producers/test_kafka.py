"""Events into a real broker, and last ids out of it."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from crypto_intel.contracts.events import HEARTBEAT_KEY, FeedStatus, Heartbeat, Rejected, Trade, decode
from crypto_intel.contracts.settings import Kafka, Topics
from streaming.errors import FatalError, RetryableError
from streaming.producers import last_trades as last_trades_module
from streaming.producers import readback
from streaming.producers.kafka import KafkaSink
from streaming.producers.last_trades import last_trades
from streaming.producers.run import patiently
from streaming.producers.venue import Mark

pytestmark = pytest.mark.stack


def trade(symbol: str, trade_id: int) -> Trade:
    return Trade(
        venue="binance",
        symbol=symbol,
        trade_id=trade_id,
        price="1.5",
        quantity="2",
        taker_side="buy",
        event_time=trade_id,
        received_at=trade_id,
    )


def beat(ended: bool = False) -> Heartbeat:
    return Heartbeat(venue="binance", symbols=("BTC-USDT",), event_time=1, received_at=2, ended=ended)


@pytest.fixture
def kafka(kafka_bootstrap: str) -> Kafka:
    return Kafka(bootstrap=kafka_bootstrap)


@pytest.fixture
def sink(kafka: Kafka, own_topics: Topics) -> KafkaSink:
    return KafkaSink(kafka, own_topics, feed_topic=own_topics.trades, client_id="test")


def records(kafka: Kafka, topic: str) -> list[list[Message]]:
    """All records of a topic by partition, in order."""
    # Reads one partition after the other: what was asked for behind the end of one would be waited for at the next.
    own = {"group.id": "test", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
    consumer = Consumer({**kafka.client_config(), **own})
    found = []
    for partition in range(3):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, low)])
        messages: list[Message] = []
        while len(messages) < high - low:
            messages += consumer.consume(high - low - len(messages), timeout=10)
        found.append(messages)
    consumer.close()
    return found


async def last_ids(kafka: Kafka, topics: Topics, venue: str, symbols: list[str]) -> dict[str, Mark]:
    """As a producer asks: again while a new topic has no leader yet."""
    return await patiently("Kafka", lambda: asyncio.to_thread(last_trades, kafka, topics.trades, venue, symbols))


async def test_trades_of_a_market_keep_their_order_in_one_partition(
    kafka: Kafka, own_topics: Topics, sink: KafkaSink
) -> None:
    for trade_id in range(2_000):
        sink.trade(trade("BTC-USDT", trade_id))
        sink.trade(trade("ETH-USDT", trade_id))
    await sink.flush()
    for symbol in ("BTC-USDT", "ETH-USDT"):
        ids = [
            [decode(m.value()).trade_id for m in partition if m.key() == f"binance:{symbol}".encode()]
            for partition in records(kafka, own_topics.trades)
        ]
        assert sorted(map(len, ids)) == [0, 0, 2_000]
        assert max(ids, key=len) == list(range(2_000))


async def test_heartbeats_reach_every_partition_behind_what_was_written_before(
    kafka: Kafka, own_topics: Topics, sink: KafkaSink
) -> None:
    sink.trade(trade("BTC-USDT", 1))
    sink.heartbeat(beat())
    await sink.flush()
    for partition in records(kafka, own_topics.trades):
        assert partition[-1].key() == HEARTBEAT_KEY.encode()
        assert decode(partition[-1].value()) == beat()


async def test_what_cannot_be_used_and_what_befalls_a_feed_have_topics_of_their_own(
    kafka: Kafka, own_topics: Topics, sink: KafkaSink
) -> None:
    rejected = Rejected(stage="binance", place="ws", reason="bad_price", raw=b"\xff\x00", received_at=1)
    status = FeedStatus(venue="binance", status="connected", event_time=1, received_at=1)
    sink.reject(rejected)
    sink.status(status)
    await sink.flush()
    for topic, key, event in (
        (own_topics.dead_letters, b"binance", rejected),
        (own_topics.feed_status, b"binance", status),
    ):
        ((message,),) = [partition for partition in records(kafka, topic) if partition]
        assert (message.key(), decode(message.value())) == (key, event)


async def test_the_last_ids_are_found_behind_heartbeats_and_repairs(
    kafka: Kafka, own_topics: Topics, sink: KafkaSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_trades_module, "_TAIL_RECORDS", 100)
    sink.trade(trade("DOT-USDT", 77))
    for trade_id in range(1_000, 1_300):
        sink.trade(trade("BTC-USDT", trade_id))
        sink.heartbeat(beat())
    sink.trade(trade("BTC-USDT", 500))
    sink.trade(trade("ADA-USDT", -7))  # the venue gave no number
    await sink.flush()
    found = await last_ids(kafka, own_topics, "binance", ["BTC-USDT", "DOT-USDT", "ADA-USDT"])
    assert found == {"BTC-USDT": Mark(1_299, 1_299), "DOT-USDT": Mark(77, 77)}


async def test_an_empty_topic_has_no_last_ids(kafka: Kafka, own_topics: Topics) -> None:
    assert await last_ids(kafka, own_topics, "binance", ["BTC-USDT"]) == {}


async def test_other_venues_ids_are_not_ours(kafka: Kafka, own_topics: Topics, sink: KafkaSink) -> None:
    sink.trade(trade("BTC-USDT", 5))
    await sink.flush()
    assert await last_ids(kafka, own_topics, "kraken", ["BTC-USDT"]) == {}


def test_a_topic_that_is_not_there_yet_can_be_waited_for(kafka: Kafka) -> None:
    with pytest.raises(RetryableError, match="not there yet"):
        KafkaSink(kafka, Topics(), feed_topic="no_such_topic", client_id="test")


def test_a_broker_that_is_away_can_be_waited_for(
    own_topics: Topics, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readback, "SILENCE_S", 0.5)
    with pytest.raises(RetryableError, match="does not answer"):
        KafkaSink(Kafka(bootstrap=f"127.0.0.1:{unused_tcp_port}"), own_topics, feed_topic="t", client_id="test")


def test_an_event_that_kafka_cannot_take_ends_the_process(sink: KafkaSink) -> None:
    with pytest.raises(FatalError, match="too large"):
        sink.reject(Rejected(stage="x", place="x", reason="x", raw=bytes(2_000_000), received_at=1))
