"""Kafka as an observer sees it: how far each topic is. Reads watermarks only, consumes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from crypto_intel.contracts.settings import Kafka as KafkaSettings
from crypto_intel.contracts.settings import Settings
from crypto_intel.core.errors import TransientError

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class TopicOffsets:
    """Low and high watermark of each partition: the next offset to be written is `high`."""

    topic: str
    watermarks: dict[int, tuple[int, int]]

    @property
    def records(self) -> int:
        """Records that the topic holds, markers of transactions included."""
        return sum(high - low for low, high in self.watermarks.values())

    @property
    def end_offsets(self) -> dict[int, int]:
        """Next offset of each partition."""
        return {partition: high for partition, (_, high) in sorted(self.watermarks.items())}


class KafkaOffsets(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Asks the brokers for watermarks.

    Args:
        bootstrap: host:port list; empty: as the settings say.
    """

    bootstrap: str = ""

    def read(self, topics: list[str]) -> list[TopicOffsets]:
        """Watermarks of the topics, one connection for all; a topic that does not exist is left out.

        Raises:
            TransientError: the brokers do not answer.
        """
        consumer = Consumer(self._config())
        try:
            there = consumer.list_topics(timeout=TIMEOUT_S).topics
            return [_offsets(consumer, topic, list(there[topic].partitions)) for topic in topics if topic in there]
        except KafkaException as error:
            raise TransientError(f"Kafka does not answer: {error}") from error
        finally:
            consumer.close()

    def _config(self) -> dict[str, str | int | bool]:
        settings = KafkaSettings(bootstrap=self.bootstrap) if self.bootstrap else Settings().kafka
        # A consumer that subscribes to nothing joins no group; the id is demanded all the same.
        return {**settings.client_config(), "group.id": "crypto-intel-observer", "enable.auto.commit": False}


def _offsets(consumer: Consumer, topic: str, partitions: list[int]) -> TopicOffsets:
    marks = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=TIMEOUT_S) for p in partitions}
    return TopicOffsets(topic, {p: (low, high) for p, (low, high) in marks.items()})
