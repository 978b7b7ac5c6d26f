"""Kafka: how much each topic holds, and how far each reader is behind.

Readers are the streaming queries, which keep their offsets in checkpoints and tell them after each batch
(ops.stream_progress), and whatever consumer group commits offsets on our topics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from prometheus_client import Metric

from crypto_intel.contracts.settings import Kafka as KafkaSettings
from crypto_intel.contracts.settings import Topics
from crypto_intel.exporter.database import Reader
from crypto_intel.exporter.source import counter, gauge

ANSWER_S = 3.0
MAX_GROUPS = 50
"""Consumer groups that are shown; they are other people's, so their number is bounded here."""

Offsets = dict[str, dict[int, int]]
"""topic -> partition -> offset of the next record."""

_READ_TO = "SELECT query, end_offsets FROM ops.stream_progress"


class Kafka:
    """Figures of one cluster.

    Args:
        settings: how to reach it.
        topics: ours; no others are shown.
        reader: of the platform's database.
    """

    def __init__(self, settings: KafkaSettings, topics: Topics, reader: Reader) -> None:
        self._config: dict[str, Any] = {
            **settings.client_config(),
            "log_level": 0,
            "client.id": "crypto-intel-exporter",
        }
        self._topics = topics
        self._reader = reader
        self._client: AdminClient | None = None

    def ask(self) -> Iterator[Metric]:
        """Ends of the topics and the lag of each reader.

        Raises:
            KafkaException, psycopg.Error: the broker or the database is away.
        """
        client = self._open()
        ends = self._ends(client)
        held = {(topic,): float(sum(partitions.values())) for topic, partitions in ends.items()}
        yield counter("crypto_intel_kafka_records", "Records that the topic was ever given.", ["topic"], held)
        read = {row["query"]: queried(row["end_offsets"]) for row in self._reader.rows(_READ_TO)}
        lags = lag_records(ends, {**self._groups(client), **read})
        yield gauge("crypto_intel_kafka_lag_records", "Records behind the reader.", ["group", "topic"], lags)

    def _open(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient(self._config)
        return self._client

    def _ends(self, client: AdminClient) -> Offsets:
        known = client.list_topics(timeout=ANSWER_S).topics
        wanted = {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic in self._topics.all
            if topic in known
            for partition in known[topic].partitions
        }
        ends: Offsets = {}
        for place, future in client.list_offsets(wanted, request_timeout=ANSWER_S).items() if wanted else ():
            ends.setdefault(place.topic, {})[place.partition] = future.result(ANSWER_S).offset
        return ends

    def _groups(self, client: AdminClient) -> dict[str, Offsets]:
        listed = client.list_consumer_groups(request_timeout=ANSWER_S).result(ANSWER_S).valid
        names = sorted(group.group_id for group in listed)[:MAX_GROUPS]
        return {name: self._committed(client, name) for name in names}

    def _committed(self, client: AdminClient, name: str) -> Offsets:
        asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=ANSWER_S)
        found: Offsets = {}
        for place in asked[name].result(ANSWER_S).topic_partitions:
            if place.offset >= 0 and place.topic in self._topics.all:
                found.setdefault(place.topic, {})[place.partition] = place.offset
        return found


def queried(end_offsets: Mapping[str, Any] | None) -> Offsets:
    """Kafka's part of where a query has read to; tables have versions and are left out."""
    found: Offsets = {}
    for topic, partitions in (end_offsets or {}).items():
        if "/" not in topic and isinstance(partitions, dict):
            found[topic] = {int(number): int(offset) for number, offset in partitions.items()}
    return found


def lag_records(ends: Offsets, read: Mapping[str, Offsets]) -> dict[tuple[str, ...], float]:
    """Records behind each reader by (reader, topic); a partition that it has not begun counts whole."""
    return {
        (group, topic): float(
            sum(max(end - partitions.get(number, 0), 0) for number, end in ends.get(topic, {}).items())
        )
        for group, topics in read.items()
        for topic, partitions in topics.items()
    }


ERRORS: tuple[type[Exception], ...] = (KafkaException, TimeoutError, json.JSONDecodeError)
"""What a broker that is away looks like."""
