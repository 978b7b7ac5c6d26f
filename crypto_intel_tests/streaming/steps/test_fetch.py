"""A slice's records out of a real broker: all of them, in order, none beyond, and no silent loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer, TopicPartition

from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.stack.kafka import admin
from crypto_intel.stack.ports import free_port
from streaming.errors import FatalError, RetryableError
from streaming.steps import fetch as module
from streaming.steps.fetch import fetch
from streaming.steps.range import Range

pytestmark = pytest.mark.stack

Send = Callable[[int], None]


@pytest.fixture
def kafka(kafka_bootstrap: str) -> Kafka:
    """How to reach the broker."""
    return Kafka(bootstrap=kafka_bootstrap)


@pytest.fixture
def send(kafka_bootstrap: str, own_topics: Topics) -> Send:
    """Sends so many more numbered records to partition 0 of the trades topic."""
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    sent = iter(range(1_000_000))

    def more(count: int) -> None:
        for _ in range(count):
            producer.produce(own_topics.trades, str(next(sent)), partition=0)
        assert producer.flush(30) == 0

    return more


def test_a_slice_is_whole_in_order_and_has_nothing_beyond_its_end(kafka: Kafka, own_topics: Topics, send: Send) -> None:
    send(1_000)
    records = fetch(kafka, Range(own_topics.trades, 0, 100, 900))
    assert [int(value) for value in records.values] == list(range(100, 900))
    assert records.offsets.to_list() == list(range(100, 900))
    assert records.times_ms.is_between(1_600_000_000_000, 4_000_000_000_000).all()
    assert records.name == f"{own_topics.trades}/0"


def test_one_consumer_serves_slices_back_and_forth(kafka: Kafka, own_topics: Topics, send: Send) -> None:
    send(50)
    for start, until in ((40, 50), (0, 10), (20, 21), (0, 50)):
        records = fetch(kafka, Range(own_topics.trades, 0, start, until))
        assert [int(value) for value in records.values] == list(range(start, until))


def test_a_slice_that_is_still_to_be_written_is_waited_for(
    kafka: Kafka, own_topics: Topics, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(5)
    monkeypatch.setattr(module, "PATIENCE_S", 2.0)
    with pytest.raises(RetryableError, match=r"no record of .* behind offset \d"):
        fetch(kafka, Range(own_topics.trades, 0, 0, 8))


def test_offsets_of_transactions_own_records_are_passed_over(
    kafka: Kafka, kafka_bootstrap: str, own_topics: Topics
) -> None:
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": own_topics.trades})
    producer.init_transactions(30)
    for value in ("a", "b"):
        producer.begin_transaction()
        producer.produce(own_topics.trades, value, partition=0)
        producer.commit_transaction(30)
    records = fetch(kafka, Range(own_topics.trades, 0, 0, 4))
    assert (list(records.values), records.offsets.to_list()) == ([b"a", b"b"], [0, 2])


def test_records_that_kafka_forgot_stop_the_query(
    kafka: Kafka, kafka_bootstrap: str, own_topics: Topics, send: Send
) -> None:
    send(20)
    client = admin(kafka_bootstrap)
    for done in client.delete_records([TopicPartition(own_topics.trades, 0, 10)]).values():
        done.result(30)
    with pytest.raises(FatalError, match="Kafka no longer has"):
        fetch(kafka, Range(own_topics.trades, 0, 5, 20))
    assert len(fetch(kafka, Range(own_topics.trades, 0, 10, 20)).values) == 10


def test_a_broker_that_is_away_is_an_error_to_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)
    with pytest.raises(RetryableError, match="no record"):
        fetch(Kafka(bootstrap=f"127.0.0.1:{free_port()}"), Range("trades", 0, 0, 1))
