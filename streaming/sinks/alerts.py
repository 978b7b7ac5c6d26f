"""Alerts from the outbox into Kafka's alerts topic.

Guarantee: at least once. An alert leaves the outbox only when all in-sync replicas have acknowledged it; a crash in
between sends it again, with the same key (alert_id) and the same bytes, so readers keep one row per alert_id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from crypto_intel.contracts.events import Alert, encode
from crypto_intel.contracts.settings import Kafka
from streaming import failpoints
from streaming.errors import RetryableError

DELIVERY_S = 10.0
"""Longest wait for the broker. The alerts stay in the outbox, so a broker that is away costs a repetition, no alert."""

log = structlog.get_logger(__name__)


class Outbox(Protocol):
    """Where alerts wait until Kafka has them."""

    def pending_alerts(self, limit: int) -> list[tuple[str, Alert]]:
        """Alerts that are not acknowledged yet, oldest first."""

    def mark_published(self, ids: Sequence[str]) -> None:
        """These are acknowledged."""


class AlertRelay:
    """Empties outboxes into the alerts topic. The producer is made on first use, and anew after a failure.

    Args:
        kafka: how to reach the broker.
        topic: the alerts topic.
    """

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producer: Producer | None = None

    def send_pending(self, outbox: Outbox, *, limit: int = 500) -> int:
        """Send what waits, `limit` at a time, until nothing does; how many were acknowledged.

        Raises:
            RetryableError: the broker did not take them all, or the outbox is away; the rest waits in the outbox.
        """
        sent = 0
        while pending := outbox.pending_alerts(limit):
            failpoints.reach("alerts:pending")
            acknowledged = self._deliver([alert for _, alert in pending])
            failpoints.reach("alerts:acknowledged")
            outbox.mark_published(acknowledged)
            sent += len(acknowledged)
            if missing := len(pending) - len(acknowledged):
                raise RetryableError(f"Kafka did not acknowledge {missing} of {len(pending)} alerts; they stay queued")
            if len(pending) < limit:
                break
        return sent

    def _deliver(self, alerts: Sequence[Alert]) -> list[str]:
        # Ids that the broker acknowledged.
        acknowledged: list[str] = []

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            key = message.key()
            if error is not None:
                log.warning("alert not delivered", error=error.str())
            elif key is not None:
                acknowledged.append(key.decode())

        producer = self._open()
        try:
            for alert in alerts:
                producer.produce(self._topic, encode(alert), alert.alert_id, on_delivery=on_delivery)
            producer.flush(DELIVERY_S + 1)
        except (BufferError, KafkaException) as error:
            log.warning("alerts not delivered", error=str(error))
        if len(acknowledged) < len(alerts):
            self._drop()
        return acknowledged

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    **self._kafka.client_config(),
                    "client.id": "crypto-intel-alerts",
                    "enable.idempotence": True,
                    "acks": "all",
                    "linger.ms": 0,
                    "message.timeout.ms": int(DELIVERY_S * 1000),
                },
                logger=None,
            )
        return self._producer

    def _drop(self) -> None:
        # What is still queued would otherwise be sent later beside its own repetition.
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1)
