"""Events into Kafka.

Guarantee: at least once, in order within a partition; each event is acknowledged by all in-sync replicas or the
process stops loudly. Idempotence removes repeats of one process' retries, not those of its restart: readers drop
repeated trade ids. Bounds: 1,000,000 events or 512 MiB wait for the broker (200 s at 5,000/s); then the caller is
held, and with it the socket that it reads from.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from crypto_intel.contracts.events import (
    HEARTBEAT_KEY,
    Article,
    FeedStatus,
    Heartbeat,
    Quote,
    Rejected,
    Trade,
    encode,
)
from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.contracts.symbols import market_key
from streaming.errors import FatalError
from streaming.producers.readback import partitions_of

QUEUE_MESSAGES = 1_000_000
QUEUE_KBYTES = 524_288
DELIVERY_TIMEOUT_MS = 300_000  # a broker that is away for longer ends the process; its restart refills by REST
_FLUSH_S = 60.0
_TELL_AGAIN_S = 30.0

log = structlog.get_logger(__name__)


class KafkaSink:
    """Writes the events of one feed.

    Args:
        kafka: how to reach the broker.
        topics: their names.
        feed_topic: where heartbeats go; of several feeds, by venue.
        client_id: as the broker's logs name it.
    """

    def __init__(self, kafka: Kafka, topics: Topics, *, feed_topic: str | Mapping[str, str], client_id: str) -> None:
        self._topics = topics
        self._feed_topic = feed_topic
        self._failed: KafkaError | None = None
        self.failures = 0
        self._told = ("", 0.0)
        self._producer = Producer(
            {
                **kafka.client_config(),
                "client.id": client_id,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "lz4",
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_KBYTES,
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                "delivery.report.only.error": True,  # a call a message in Python would halve the throughput
                "log_level": 0,  # it would write a line for each try to connect; `error_cb` tells what matters
                "error_cb": self._on_error,
            }
        )
        beaten = {feed_topic} if isinstance(feed_topic, str) else set(feed_topic.values())
        self.partitions = {topic: len(partitions_of(self._producer, topic)) for topic in sorted(beaten)}

    def trade(self, event: Trade) -> None:
        """A trade, to the partition of its market."""
        self._write(self._topics.trades, market_key(event.venue, event.symbol), encode(event))

    def quote(self, event: Quote) -> None:
        """A quote, by its market."""
        self._write(self._topics.quotes, market_key(event.venue, event.symbol), encode(event))

    def article(self, event: Article) -> None:
        """An article, by its id."""
        self._write(self._topics.news, event.article_id, encode(event))

    def status(self, event: FeedStatus) -> None:
        """What became of the feed."""
        self._write(self._topics.feed_status, event.venue, encode(event))

    def reject(self, event: Rejected) -> None:
        """Input that could not be used."""
        self._write(self._topics.dead_letters, event.stage, encode(event))

    def heartbeat(self, event: Heartbeat) -> None:
        """To every partition of the feed's topic."""
        value = encode(event)
        topic = self._feed_topic if isinstance(self._feed_topic, str) else self._feed_topic[event.venue]
        for partition in range(self.partitions[topic]):
            self._write(topic, HEARTBEAT_KEY, value, partition)

    def _write(self, topic: str, key: str, value: bytes, partition: int = -1) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._on_delivery)
            except BufferError:  # full: hold the caller until the broker has taken some
                self._producer.poll(0.1)
                self.check()
            except KafkaException as error:
                raise FatalError(f"Kafka's client refuses an event for {topic}: {error}") from error
            else:
                return

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failures += 1
            self._failed = self._failed or error

    def _on_error(self, error: KafkaError) -> None:
        """What the client says of its connections; the same again only after a while."""
        name, when = self._told
        if error.name() != name or time.monotonic() - when > _TELL_AGAIN_S:
            self._told = (error.name(), time.monotonic())
            log.warning("kafka client", error=error.str(), fatal=error.fatal(), queued=self.queued)

    def check(self) -> None:
        """Serve delivery reports.

        Raises:
            FatalError: an event was not delivered; going on would lose it.
        """
        self._producer.poll(0)
        if self._failed is not None:
            raise FatalError(f"{self.failures} events were not delivered to Kafka: {self._failed.str()}")

    async def flush(self) -> None:
        """Return when everything written so far is acknowledged.

        Raises:
            FatalError: something could not be delivered in a minute.
        """
        waiting = await asyncio.to_thread(self._producer.flush, _FLUSH_S)
        self.check()
        if waiting:
            raise FatalError(f"{waiting} events are not acknowledged by Kafka after {_FLUSH_S:.0f} s")

    @property
    def queued(self) -> int:
        """Events that wait for the broker's acknowledgement."""
        return len(self._producer)
