"""The Kafka broker: one KRaft node on loopback, broker and controller in one JVM.

Acknowledged records survive kill -9 of the broker (page cache), not a power cut: one replica, no fsync per record.
Records are kept for ever here, since the demo's Kafka is the record that `verify` counts; a cluster sets its own.
"""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from crypto_intel.stack.errors import ServerFailedError
from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.process import Command, Server, tied_to_parent

_PROPERTIES = """\
# Generated at every start; edits are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
log.retention.ms=-1
# One node: internal topics have one replica, and few partitions since each costs files and a cleaner pass.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Two cores and a heap of 512 MB: fewer threads, and a cleaner buffer that fits (default 128 MB).
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""
_LOG4J = """\
Configuration:
  status: warn
  Appenders:
    Console:
      name: out
      PatternLayout: {pattern: "%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %c{1} %m%n"}
  Loggers:
    Root:
      level: warn
      AppenderRef: {ref: out}
    Logger:
      - {name: kafka.server.KafkaRaftServer, level: info}
      - {name: org.apache.kafka.common.utils.AppInfoParser, level: error}
"""


@dataclass(frozen=True)
class KafkaServer:
    """Where the broker keeps its files and listens, and what it runs with; `heap_mb` bounds its heap.

    `more` are further lines of its properties, which go before ours.
    """

    folder: Path
    port: int
    controller_port: int
    java_home: Path
    jars: Jars
    heap_mb: int = 512
    more: str = ""

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write its configuration; at the first start format its storage (1.5 s)."""
        config = _PROPERTIES.format(
            host=LOOPBACK, port=self.port, controller_port=self.controller_port, data=self._data
        )
        write_atomic(self._properties, config + self.more)
        write_atomic(self.folder / "log4j2.yaml", _LOG4J)
        if not (self._data / "meta.properties").exists():
            self._format()

    def command(self) -> Command:
        """How to run it, once prepared."""
        return Command(tied_to_parent([*self._java(), "kafka.Kafka", str(self._properties)]))

    def start(self) -> Server:
        """Run it as a child of this process; wait with `wait_until_ready`."""
        self.prepare()
        return Server("kafka", self.command(), self.folder / "kafka.log", self.answers)

    def answers(self) -> bool:
        """True when it lists its topics."""
        try:
            admin(self.bootstrap).list_topics(timeout=1)
        except KafkaException:
            return False
        return True

    @property
    def _data(self) -> Path:
        return self.folder.resolve() / "data"

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _java(self) -> list[str]:
        return [
            str(self.java_home / "bin" / "java"),
            "-Xms128m",
            f"-Xmx{self.heap_mb}m",
            "-XX:+UseSerialGC",  # a heap this small collects in milliseconds; G1 would cost memory and threads
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.folder.resolve() / 'log4j2.yaml'}",
            "-cp",
            self.jars.kafka_classpath,
        ]

    def _format(self) -> None:
        # Kafka refuses ids that begin with "-", since they look like an option.
        cluster = "C" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        tool = [*self._java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        done = subprocess.run(tool, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise ServerFailedError(f"formatting Kafka's storage failed: {(done.stderr or done.stdout).strip()[-600:]}")


def admin(bootstrap: str, config: Mapping[str, str] | None = None) -> AdminClient:
    """A client that manages topics; its own log lines are dropped, since errors reach the caller anyway."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **(config or {})})


def create_topics(
    bootstrap: str, names: Iterable[str], partitions: int = 3, config: Mapping[str, str] | None = None
) -> list[str]:
    """Create the topics that are not there; the names of those created. Safe to repeat.

    Raises:
        KafkaException: the broker refused for another reason than that a topic exists.
    """
    client = admin(bootstrap, config)
    wanted = [NewTopic(name, num_partitions=partitions, replication_factor=-1) for name in names]
    created = []
    for name, future in client.create_topics(wanted, operation_timeout=30).items():
        try:
            future.result(60)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return created
