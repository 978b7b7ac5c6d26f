"""What Kafka holds, read back by a producer as it starts: Kafka itself is the memory of earlier runs.

A file beside it could say other than what was written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from crypto_intel.contracts.settings import Kafka
from streaming.errors import RetryableError

SILENCE_S = 10.0
_BATCH = 5_000


@contextmanager
def reading(kafka: Kafka, group: str, what: str) -> Iterator[Consumer]:
    """A consumer that commits nothing, for short looks at one partition after the other.

    Args:
        kafka: how to reach the broker.
        group: as the broker's logs name it.
        what: what is read, for the error's text.

    Raises:
        RetryableError: Kafka does not answer.
    """
    own: dict[str, Any] = {
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        # Else each look waits half a second for what the one before it asked for behind the partition's end.
        "fetch.wait.max.ms": 50,
        "log_level": 0,
    }
    consumer = Consumer({**kafka.client_config(), **own})
    try:
        yield consumer
    except KafkaException as error:
        raise RetryableError(f"cannot read {what} from Kafka: {error}") from error
    finally:
        consumer.close()


def partitions_of(client: Any, topic: str) -> list[int]:
    """Partitions of a topic, as the broker says.

    Raises:
        RetryableError: the broker does not answer or the topic is not there yet.
    """
    try:
        known = client.list_topics(topic, timeout=SILENCE_S).topics[topic]
    except KafkaException as error:
        raise RetryableError(f"Kafka does not answer: {error}") from error
    if known.error is not None or not known.partitions:
        raise RetryableError(f"topic {topic} is not there yet")
    return sorted(known.partitions)


def records_between(consumer: Consumer, topic: str, partition: int, start: int, end: int) -> Iterator[Message]:
    """Records of one partition from offset `start` up to `end`, without those that Kafka says are errors; blocking.

    Raises:
        RetryableError: nothing came for 10 s.
    """
    consumer.assign([TopicPartition(topic, partition, start)])
    at, heard = start, time.monotonic()
    while at < end:
        # Never asks for more than there is: `consume` waits for the full number until its timeout.
        messages = consumer.consume(min(_BATCH, end - at), timeout=1.0)
        heard = time.monotonic() if messages else heard
        if time.monotonic() - heard > SILENCE_S:
            raise RetryableError(f"Kafka gave no records of {topic}[{partition}] from {at} on")
        for message in messages:
            offset = message.offset()
            if message.error() is None and offset is not None and offset < end:
                at = offset + 1
                yield message
