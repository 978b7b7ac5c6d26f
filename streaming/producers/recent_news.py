"""What earlier runs wrote to the news topic, so that a restart goes on with the stories it had."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from crypto_intel.contracts.events import Article
from crypto_intel.contracts.settings import Kafka
from streaming.errors import RetryableError
from streaming.producers.kafka import partitions_of
from streaming.producers.stories import LIMIT, WINDOW_US

_RECORDS = 200_000  # of a partition, heartbeats included: what two days hold at a heartbeat every 2 s of two feeds
_BATCH = 5_000
_SILENCE_S = 10.0

_decode = msgspec.json.Decoder(Article).decode


def recent_articles(kafka: Kafka, topic: str) -> list[Article]:
    """Articles that were written in the last two days, in the order in which Kafka took them; blocking.

    Kafka itself is the memory. Bounded: the newest LIMIT articles among the last 200,000 records of each partition.

    Raises:
        RetryableError: Kafka does not answer.
    """
    consumer = Consumer(
        {
            **kafka.client_config(),
            "group.id": "recent-news",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # Else each partition waits half a second for what was asked for behind the end of the one before it.
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    since_ms = (time.time_ns() // 1_000 - WINDOW_US) // 1_000
    try:
        found = [
            timed
            for partition in partitions_of(consumer, topic)
            for timed in _partition(consumer, TopicPartition(topic, partition), since_ms)
        ]
    except KafkaException as error:
        raise RetryableError(f"cannot read recent news from Kafka: {error}") from error
    finally:
        consumer.close()
    found.sort(key=lambda timed: timed[:2])
    return [article for _, _, article in found[-LIMIT:]]


def _partition(consumer: Consumer, place: TopicPartition, since_ms: int) -> Iterator[tuple[int, int, Article]]:
    """Kafka's time, offset and article."""
    low, end = consumer.get_watermark_offsets(place, timeout=_SILENCE_S)
    [dated] = consumer.offsets_for_times([TopicPartition(place.topic, place.partition, since_ms)], timeout=_SILENCE_S)
    at = max(low, end - _RECORDS, dated.offset if dated.offset >= 0 else end)
    consumer.assign([TopicPartition(place.topic, place.partition, at)])
    heard = time.monotonic()
    while at < end:
        # Never asks for more than there is: `consume` waits for the full number until its timeout.
        messages = consumer.consume(min(_BATCH, end - at), timeout=1.0)
        heard = time.monotonic() if messages else heard
        if time.monotonic() - heard > _SILENCE_S:
            raise RetryableError(f"Kafka gave no records of {place.topic}[{place.partition}] from {at} on")
        for message in messages:
            offset = message.offset()
            at = max(at, offset + 1) if offset is not None else at
            if (article := _article(message)) is not None:
                yield message.timestamp()[1], offset or 0, article


def _article(message: Message) -> Article | None:
    value = message.value()
    if message.error() is not None or value is None:
        return None
    try:
        return _decode(value)
    except msgspec.DecodeError:  # a heartbeat, or what another producer wrote; ingest judges it
        return None
