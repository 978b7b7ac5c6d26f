"""What earlier runs wrote to the news topic, so that a restart goes on with the stories it had."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from crypto_intel.contracts.events import Article
from crypto_intel.contracts.settings import Kafka
from streaming.producers.readback import SILENCE_S, partitions_of, reading, records_between
from streaming.producers.stories import LIMIT, WINDOW_US

_RECORDS = 200_000  # of a partition, heartbeats included: what two days hold at a heartbeat every 2 s of two feeds

_decode = msgspec.json.Decoder(Article).decode


def recent_articles(kafka: Kafka, topic: str) -> list[Article]:
    """Articles that were written in the last two days, in the order in which Kafka took them; blocking.

    Bounded: the newest LIMIT articles among the last 200,000 records of each partition.

    Raises:
        RetryableError: Kafka does not answer.
    """
    since_ms = (time.time_ns() // 1_000 - WINDOW_US) // 1_000
    with reading(kafka, "recent-news", "recent news") as consumer:
        found = [
            timed
            for partition in partitions_of(consumer, topic)
            for timed in _partition(consumer, TopicPartition(topic, partition, since_ms))
        ]
    found.sort(key=lambda timed: timed[:2])
    return [article for _, _, article in found[-LIMIT:]]


def _partition(consumer: Consumer, since: TopicPartition) -> Iterator[tuple[int, int, Article]]:
    """Kafka's time, offset and article; `since` has its time in ms in the offset's place, as Kafka asks for it."""
    low, end = consumer.get_watermark_offsets(since, timeout=SILENCE_S)
    [dated] = consumer.offsets_for_times([since], timeout=SILENCE_S)
    start = max(low, end - _RECORDS, dated.offset if dated.offset >= 0 else end)
    for message in records_between(consumer, since.topic, since.partition, start, end):
        if (article := _article(message)) is not None:
            yield message.timestamp()[1], message.offset() or 0, article


def _article(message: Message) -> Article | None:
    value = message.value()
    if value is None:
        return None
    try:
        return _decode(value)
    except msgspec.DecodeError:  # a heartbeat, or what another producer wrote; ingest judges it
        return None
