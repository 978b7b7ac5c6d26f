"""Kafka over SASL_SSL: producers, Spark's source, its workers and alerts get in, and nobody without the password."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr
from pyspark.sql import SparkSession

from crypto_intel.contracts.events import Alert, Trade
from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.contracts.tables import BRONZE_TRADES, TABLES
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.kafka import KafkaServer, create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel_tests.helpers import sasl
from crypto_intel_tests.streaming.sinks.rows import alert
from streaming.jobs import ingest
from streaming.jobs.query import Figures
from streaming.producers.kafka import KafkaSink
from streaming.settings import StreamingSettings, Triggers
from streaming.sinks.alerts import AlertRelay
from streaming.sinks.delta import Lake, ensure_table
from streaming.spark import kafka_options

pytestmark = pytest.mark.stack
START = 1_735_689_600_000_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, java_home: Path, jars: Jars) -> Iterator[tuple[sasl.Ports, Path]]:
    """A broker whose clients' listener is SASL_SSL, and the certificate that they must trust."""
    folder = tmp_path_factory.mktemp("sasl")
    ports = sasl.Ports(plain := free_port(), control := free_port({plain}), free_port({plain, control}))
    keystore, ca_file = sasl.make_certificate(folder)
    more = sasl.properties(ports, keystore)
    kafka = KafkaServer(folder / "kafka", ports.plain, ports.controller, java_home, jars, more=more)
    with kafka.start() as server:
        server.wait_until_ready()
        sasl.add_scram_user(kafka.bootstrap)
        yield ports, ca_file


def own_topics(kafka: Kafka) -> Topics:
    """Topics, created by a client that logs in."""
    mark = uuid.uuid4().hex[:8]
    topics = Topics(**{field: f"{name}_{mark}" for field, name in Topics().model_dump().items()})
    create_topics(kafka.bootstrap, topics.all, config=kafka.client_config())
    return topics


def send(kafka: Kafka, topics: Topics, count: int) -> None:
    """Trades by the producers' own sink."""
    sink = KafkaSink(kafka, topics, feed_topic=topics.trades, client_id="test")
    for number in range(count):
        at = START + number * 1_000_000
        sink.trade(Trade(venue="binance", symbol="BTC-USDT", trade_id=number, price="1.5", quantity="2",
                         taker_side="buy", event_time=at, received_at=at))  # fmt: skip
    asyncio.run(sink.flush())


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_records_pass_from_the_producers_through_spark_and_its_workers(
    broker: tuple[sasl.Ports, Path], mechanism: str, spark: SparkSession, tmp_path: Path
) -> None:
    kafka = sasl.settings(*broker, mechanism)
    topics = own_topics(kafka)
    send(kafka, topics, 100)
    settings = StreamingSettings(kafka=kafka, topics=topics, data_dir=tmp_path, triggers=Triggers(ingest_s=0.2))
    for table in TABLES.values():
        if table.writer == "spark":
            ensure_table(table, settings.lake_root)
    query = ingest.run(spark, settings, Figures())
    lake, deadline = Lake(settings.lake_root), time.monotonic() + 90
    try:
        while lake.read(BRONZE_TRADES).collect().height < 100:
            assert query.isActive, query.exception()
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        query.stop()
    told = [str(batch) for batch in query.recentProgress] + [repr(kafka), repr(settings)]
    assert not any(sasl.PASSWORD in text for text in told)
    assert AlertRelay(kafka, topics.alerts).send_pending(OneAlert()) == 1


class OneAlert:
    """An outbox with one alert."""

    def __init__(self) -> None:
        self._pending = [alert()]

    def pending_alerts(self, limit: int) -> list[tuple[str, Alert]]:
        """What waits."""
        return [(one.alert_id, one) for one in self._pending[:limit]]

    def mark_published(self, ids: Sequence[str]) -> None:
        """These are acknowledged."""
        self._pending = [one for one in self._pending if one.alert_id not in ids]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_nobody_gets_in_with_a_wrong_password(broker: tuple[sasl.Ports, Path], mechanism: str) -> None:
    kafka = sasl.settings(*broker, mechanism).model_copy(update={"password": SecretStr("guessed")})
    assert refusal(kafka) == KafkaError._AUTHENTICATION


def test_nobody_talks_to_a_broker_that_is_not_trusted(broker: tuple[sasl.Ports, Path]) -> None:
    kafka = sasl.settings(*broker, "PLAIN").model_copy(update={"ca_file": None})
    assert refusal(kafka) == KafkaError._SSL


def refusal(kafka: Kafka) -> int:
    """Why a client does not get in: the first thing that it tells of its connections but that none is left."""
    told: list[KafkaError] = []
    client = AdminClient({**kafka.client_config(), "bootstrap.servers": kafka.bootstrap, "error_cb": told.append})
    deadline = time.monotonic() + 30
    while not (found := [error.code() for error in told if error.code() != KafkaError._ALL_BROKERS_DOWN]):
        assert time.monotonic() < deadline, "nothing is told"
        client.poll(0.1)
    assert found[0] is not None
    return found[0]


def test_without_sasl_spark_is_told_no_password() -> None:
    assert kafka_options(Kafka()) == {
        "kafka.bootstrap.servers": "127.0.0.1:9092",
        "kafka.security.protocol": "PLAINTEXT",
    }
