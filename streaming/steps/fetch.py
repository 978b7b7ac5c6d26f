"""A slice's records out of Kafka, by librdkafka, in a Spark worker. The consumer lives as long as its worker."""

from __future__ import annotations

import time

import polars as pl
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from crypto_intel.contracts.settings import Kafka
from streaming.errors import FatalError, RetryableError
from streaming.steps.range import Range
from streaming.transforms.decode import Records

PATIENCE_S = 60.0
"""Without a record for so long the broker counts as away, and the batch is repeated by whoever started it."""

_CHUNK = 20_000
_CONFIG = {
    "group.id": "crypto-intel-streaming",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Offsets that Kafka no longer has would be a silent loss.
    "auto.offset.reset": "error",
    "fetch.wait.max.ms": 50,
    "fetch.message.max.bytes": 4_194_304,
    # What is fetched behind the end of a slice is fetched again: keep it small.
    "queued.max.messages.kbytes": 16_384,
    # When that is full, librdkafka asks again after a second, however soon we take what it has.
    "fetch.queue.backoff.ms": 10,
    "log_level": 0,
}

_consumers: dict[str, Consumer] = {}


def fetch(kafka: Kafka, wanted: Range) -> Records:
    """All records of a range.

    Raises:
        FatalError: Kafka no longer has them.
        RetryableError: the broker does not answer.
    """
    consumer = _consumer(kafka)
    consumer.assign([TopicPartition(wanted.topic, wanted.partition, wanted.start)])
    try:
        return _records(wanted, _read(consumer, wanted))
    finally:
        consumer.unassign()


def _consumer(kafka: Kafka) -> Consumer:
    name = repr(kafka)  # secrets are hidden in it
    if name not in _consumers:
        _consumers[name] = Consumer({**kafka.client_config(), **_CONFIG})
    return _consumers[name]


def _read(consumer: Consumer, wanted: Range) -> list[Message]:
    found: list[Message] = []
    at = wanted.start
    heard = time.monotonic()
    while at < wanted.until:
        messages = consumer.consume(min(_CHUNK, wanted.until - at), timeout=0.5)
        for message in messages:
            if (error := message.error()) is not None:
                _refuse(error, wanted)
        if messages:
            found += messages
            at, heard = _offset(messages[-1]) + 1, time.monotonic()
            continue
        # Offsets without records (control records of transactions) move the position, too.
        position = consumer.position([TopicPartition(wanted.topic, wanted.partition)])[0].offset
        at = max(at, position)
        if time.monotonic() - heard > PATIENCE_S:
            raise RetryableError(f"no record of {wanted.name} behind offset {at} for {PATIENCE_S:g} s")
    return found


def _refuse(error: KafkaError, wanted: Range) -> None:
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise FatalError(
            f"Kafka no longer has {wanted.name} from offset {wanted.start} on: records were deleted before they were "
            "read. Lengthen the topic's retention, and start from a new checkpoint"
        )
    if error.fatal() or not error.retriable():
        raise RetryableError(f"{wanted.name}: {error.str()}")


def _records(wanted: Range, messages: list[Message]) -> Records:
    within = messages if not messages or _offset(messages[-1]) < wanted.until else _before(messages, wanted.until)
    is_dense = len(within) == wanted.size
    offsets = range(wanted.start, wanted.until) if is_dense else [_offset(message) for message in within]
    return Records(
        topic=wanted.topic,
        partition=wanted.partition,
        values=[message.value() or b"" for message in within],
        offsets=pl.Series("kafka_offset", offsets, dtype=pl.Int64),
        times_ms=pl.Series("kafka_time", [message.timestamp()[1] for message in within], dtype=pl.Int64),
    )


def _before(messages: list[Message], until: int) -> list[Message]:
    return [message for message in messages if _offset(message) < until]


def _offset(message: Message) -> int:
    offset = message.offset()
    if offset is None:
        raise AssertionError("a message without error has an offset")
    return offset
