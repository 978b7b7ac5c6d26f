"""Lag of queries and of consumer groups against a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from crypto_intel.contracts.settings import Kafka as KafkaSettings
from crypto_intel.contracts.settings import Topics
from crypto_intel.exporter.database import Reader
from crypto_intel.exporter.kafka import Kafka, lag_records, queried
from crypto_intel_tests.crypto_intel.exporter.figures import values


@pytest.fixture
def reader(own_postgres_dsn: str) -> Iterator[Reader]:
    """The platform's database."""
    found = Reader(SecretStr(own_postgres_dsn))
    yield found
    found.close()


@pytest.mark.stack
def test_each_reader_is_behind_by_what_it_has_not_read(
    kafka_bootstrap: str, own_topics: Topics, own_postgres_dsn: str, reader: Reader
) -> None:
    _fill(kafka_bootstrap, own_topics.trades, {0: 10, 1: 5})
    _commit(kafka_bootstrap, own_topics.trades, "models", {0: 4})
    with psycopg.connect(own_postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO ops.stream_progress (query, batch_id, input_rows, rows_total, end_offsets) "
            "VALUES ('ingest', 1, 1, 1, %s)",
            [Jsonb({own_topics.trades: {"0": 10, "1": 2, "2": 0}, "silver/bars_1m": {"version": 3, "index": -1}})],
        )
    found = values(Kafka(KafkaSettings(bootstrap=kafka_bootstrap), own_topics, reader).ask())
    assert found["crypto_intel_kafka_records_total", own_topics.trades] == 15
    assert found["crypto_intel_kafka_lag_records", "ingest", own_topics.trades] == 3
    assert found["crypto_intel_kafka_lag_records", "models", own_topics.trades] == 11
    assert {key[1] for key in found if key[0] == "crypto_intel_kafka_records_total"} == set(own_topics.all)


def _fill(bootstrap: str, topic: str, records: dict[int, int]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for partition, count in records.items():
        for number in range(count):
            producer.produce(topic, str(number), partition=partition)
    assert producer.flush(30) == 0


def _commit(bootstrap: str, topic: str, group: str, offsets: dict[int, int]) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def test_a_partition_that_was_not_begun_counts_whole() -> None:
    assert lag_records({"t": {0: 7, 1: 3}}, {"g": {"t": {0: 7}}}) == {("g", "t"): 3}


def test_a_reader_ahead_of_what_was_seen_of_the_end_is_not_behind() -> None:
    assert lag_records({"t": {0: 7}}, {"g": {"t": {0: 9}}}) == {("g", "t"): 0}


def test_versions_of_tables_are_no_offsets() -> None:
    assert queried({"trades_topic": {"0": 5}, "silver/bars_1m": {"version": 2, "index": -1}}) == {
        "trades_topic": {0: 5}
    }
    assert queried(None) == {}
