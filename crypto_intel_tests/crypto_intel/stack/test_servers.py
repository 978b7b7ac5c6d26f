"""The three servers start, answer, keep what they were given, and stop without leaving a process behind."""

from __future__ import annotations

from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.kafka import KafkaServer, admin, create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, ensure_database
from crypto_intel.stack.valkey import ValkeyServer

pytestmark = pytest.mark.stack


def test_a_broker_keeps_its_records_when_it_comes_back_on_other_ports(
    tmp_path: Path, java_home: Path, jars: Jars
) -> None:
    first = KafkaServer(tmp_path, free_port(), free_port(), java_home, jars)
    with first.start() as server:
        server.wait_until_ready()
        create_topics(first.bootstrap, ["kept"], partitions=1)
        producer = Producer({"bootstrap.servers": first.bootstrap, "acks": "all"})
        producer.produce("kept", b"record")
        assert producer.flush(20) == 0
    assert not psutil.pid_exists(server.pid)

    second = KafkaServer(tmp_path, free_port(), free_port(), java_home, jars)
    with second.start() as server:
        server.wait_until_ready()
        consumer = Consumer({"bootstrap.servers": second.bootstrap, "group.id": "test"})
        assert consumer.get_watermark_offsets(TopicPartition("kept", 0), timeout=20) == (0, 1)
        consumer.close()


def test_topics_are_created_once(kafka_bootstrap: str, own_topics: Topics) -> None:
    assert create_topics(kafka_bootstrap, own_topics.all) == []
    described = admin(kafka_bootstrap).list_topics(timeout=10).topics
    assert {len(described[name].partitions) for name in own_topics.all} == {3}


def test_postgres_keeps_its_rows_and_its_password_over_a_restart(tmp_path: Path) -> None:
    database = PostgresServer(tmp_path, free_port())
    with database.start() as server:
        server.wait_until_ready()
        with psycopg.connect(database.dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
    assert not psutil.pid_exists(server.pid)

    again = PostgresServer(tmp_path, free_port())
    with again.start() as server:
        server.wait_until_ready()
        with psycopg.connect(again.dsn) as connection:
            assert connection.execute("SELECT x FROM kept").fetchone() == (1,)


def test_postgres_refuses_a_wrong_password(postgres_dsn: str) -> None:
    name, _, rest = postgres_dsn.partition("@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"{name}x@{rest}")


def test_a_database_is_made_once(postgres_dsn: str) -> None:
    assert ensure_database(postgres_dsn, "made_once") == ensure_database(postgres_dsn, "made_once")


def test_valkey_answers_only_to_its_password(tmp_path: Path) -> None:
    cache = ValkeyServer(tmp_path, free_port())
    with cache.start() as server:
        server.wait_until_ready()
        assert redis.Redis.from_url(cache.url).set("key", "value")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(f"redis://127.0.0.1:{cache.port}").get("key")  # `Redis()` would try again for seconds
    assert not psutil.pid_exists(server.pid)


def test_valkey_keeps_its_keys_over_a_restart(tmp_path: Path) -> None:
    for value in (None, b"value"):
        cache = ValkeyServer(tmp_path, free_port())
        with cache.start() as server:
            server.wait_until_ready()
            client = redis.Redis.from_url(cache.url)
            assert client.get("key") == value
            client.set("key", "value")
