"""From the outbox to Kafka: every alert at least once, and out of the outbox only when Kafka has it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from confluent_kafka import Consumer
from pydantic import SecretStr

from crypto_intel.contracts.events import Alert, decode
from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel_tests.streaming.sinks.rows import alert
from streaming.errors import RetryableError
from streaming.sinks import alerts as module
from streaming.sinks.alerts import AlertRelay
from streaming.sinks.postgres import PostgresSink

pytestmark = pytest.mark.stack


def _read(bootstrap: str, topic: str, count: int) -> list[tuple[str, Alert]]:
    """The first `count` records of a topic; fails when they do not come."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[tuple[str, Alert]] = []
    for _ in range(60):
        if len(found) >= count:
            break
        for message in consumer.consume(count, timeout=1):
            event = decode(message.value() or b"")
            assert isinstance(event, Alert)
            found.append(((message.key() or b"").decode(), event))
    consumer.close()
    return found


def test_every_alert_arrives_and_leaves_the_outbox(
    sink: PostgresSink, kafka_bootstrap: str, own_topics: Topics
) -> None:
    raised = [alert(f"a{number}", value=number / 3) for number in range(5)]
    sink.publish(0, alerts=raised)
    relay = AlertRelay(Kafka(bootstrap=kafka_bootstrap), own_topics.alerts)
    assert relay.send_pending(sink, limit=2) == 5
    assert relay.send_pending(sink) == 0
    assert sorted(_read(kafka_bootstrap, own_topics.alerts, 5)) == [(a.alert_id, a) for a in raised]


def test_an_alert_that_is_raised_again_is_not_sent_again(
    sink: PostgresSink, own_postgres_dsn: str, kafka_bootstrap: str, own_topics: Topics
) -> None:
    relay = AlertRelay(Kafka(bootstrap=kafka_bootstrap), own_topics.alerts)
    sink.publish(0, alerts=[alert()])
    assert relay.send_pending(sink) == 1
    replayed = PostgresSink(SecretStr(own_postgres_dsn), query="publish", epoch="checkpoint-2")
    replayed.publish(0, alerts=[alert(message="said otherwise"), alert()])
    assert relay.send_pending(replayed) == 0
    replayed.close()


class _DiesBeforeMarking:
    """An outbox whose process dies once, after Kafka acknowledged and before that was noted."""

    def __init__(self, sink: PostgresSink) -> None:
        self.pending_alerts = sink.pending_alerts

    def mark_published(self, ids: Sequence[str]) -> None:
        raise ConnectionResetError


def test_a_crash_after_the_acknowledgement_sends_the_same_bytes_again(
    sink: PostgresSink, kafka_bootstrap: str, own_topics: Topics
) -> None:
    sink.publish(0, alerts=[alert()])
    relay = AlertRelay(Kafka(bootstrap=kafka_bootstrap), own_topics.alerts)
    with pytest.raises(ConnectionResetError):
        relay.send_pending(_DiesBeforeMarking(sink))
    assert relay.send_pending(sink) == 1
    assert _read(kafka_bootstrap, own_topics.alerts, 2) == [(alert().alert_id, alert())] * 2


def test_alerts_wait_while_the_broker_is_away(
    sink: PostgresSink, kafka_bootstrap: str, own_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELIVERY_S", 1.0)
    sink.publish(0, alerts=[alert()])
    with pytest.raises(RetryableError, match="1 of 1 alerts"):
        AlertRelay(Kafka(bootstrap="127.0.0.1:9"), own_topics.alerts).send_pending(sink)
    assert len(sink.pending_alerts()) == 1
    assert AlertRelay(Kafka(bootstrap=kafka_bootstrap), own_topics.alerts).send_pending(sink) == 1
