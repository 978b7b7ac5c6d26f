"""The streaming application as a process that can be killed, and the sender of a load with its ledger of acks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.process import tied_to_parent
from crypto_intel_tests.chaos.load import Record

RESTARTS = 3
"""So often an application may end by itself while it is waited for: Spark gives a Python worker ten seconds to answer,
which a machine that is very busy does not always give."""


class Sender:
    """Sends records and keeps what the broker acknowledged: (topic, partition, offset) -> value."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "log_level": 0}
        )
        self.acked: dict[tuple[str, int, int], bytes] = {}

    def send(self, records: Iterable[Record], per_s: float = 0) -> None:
        """Send all, at most `per_s` a second where that is set, and wait for the acknowledgements."""
        began = time.monotonic()
        for number, record in enumerate(records):
            self._produce(record)
            if per_s and number % 100 == 99:
                time.sleep(max(0.0, began + number / per_s - time.monotonic()))
        assert self._producer.flush(60) == 0

    def in_background(self, records: Sequence[Record], per_s: float) -> threading.Thread:
        """`send` in a thread."""
        thread = threading.Thread(target=self.send, args=(records, per_s), daemon=True)
        thread.start()
        return thread

    def _produce(self, record: Record) -> None:
        while True:
            try:
                self._producer.produce(record.topic, record.value, record.key, record.partition, on_delivery=self._note)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _note(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None and partition is not None and offset is not None
        self.acked[topic, partition, offset] = message.value() or b""


@dataclass
class Application:
    """`python -m streaming.jobs` on a data folder."""

    folder: Path
    bootstrap: str
    topics: Topics
    java_home: Path
    jars: Jars
    queries: tuple[str, ...] = ("ingest", "bar_news")
    extra: dict[str, str] = field(default_factory=dict)
    # Nobody listens there: the lake's queries do not need PostgreSQL, and must not mind.
    dsn: str = "postgresql://nobody@127.0.0.1:1/none"
    redis_url: str = ""
    process: subprocess.Popen[bytes] | None = None
    name: str = "application"
    restarts: int = 0

    @property
    def lake(self) -> Path:
        """Its lake."""
        return self.folder / "lake"

    @property
    def publishes(self) -> bool:
        """Whether it serves PostgreSQL and Redis."""
        return bool({"publish", "live"} & set(self.queries))

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / f"{self.name}.log"

    def start(self, **extra: str) -> None:
        """Start it; `extra` is added to its environment this once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Nobody's application outlives the one who plays with it.
        command = tied_to_parent([sys.executable, "-m", "streaming.jobs", *self.queries], "KILL")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=self._environment() | self.extra | extra, stdout=output, stderr=output
            )

    def _environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_INTEL_")},
            "JAVA_HOME": str(self.java_home),
            "PYSPARK_PYTHON": sys.executable,
            "CRYPTO_INTEL_SOURCE": "sim",
            "CRYPTO_INTEL_DATA_DIR": str(self.folder),
            "CRYPTO_INTEL_KAFKA__BOOTSTRAP": self.bootstrap,
            "CRYPTO_INTEL_POSTGRES_DSN": self.dsn,
            **({"CRYPTO_INTEL_REDIS_URL": self.redis_url} if self.redis_url else {}),
            "CRYPTO_INTEL_SPARK__JARS": str(self.jars.spark),
            "CRYPTO_INTEL_SPARK__DRIVER_MEMORY": "1g",
            "CRYPTO_INTEL_TRIGGERS__INGEST_S": "0.5",
            "CRYPTO_INTEL_TRIGGERS__BAR_NEWS_S": "2",
            "CRYPTO_INTEL_TRIGGERS__LIVE_S": "1",
            "CRYPTO_INTEL_TRIGGERS__PUBLISH_S": "1",
            **{f"CRYPTO_INTEL_TOPICS__{name.upper()}": topic for name, topic in self.topics.model_dump().items()},
        }

    def kill(self) -> None:
        """kill -9 of the driver; its JVM and workers follow by themselves."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self) -> int:
        """Stop it as the supervisor does; its exit code."""
        assert self.process
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)

    def wait_for_end(self, timeout_s: float = 60) -> int:
        """Its exit code, once it ended by itself."""
        assert self.process
        return self.process.wait(timeout_s)

    def wait_for(self, holds: Callable[[], bool], timeout_s: float = 300) -> float:
        """Seconds until the condition held. Where it ends by itself it is started again, as its supervisor does.

        Raises:
            AssertionError: it did not in time, or the application ended again and again.
        """
        began, patience = time.monotonic(), self.restarts + RESTARTS
        while not holds():
            assert self.process
            if self.process.poll() is not None:
                assert self.restarts < patience, f"ended with {self.process.poll()}:\n{self.tail()}"
                self.restarts += 1
                self.start()
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s} s:\n{self.tail()}"
            time.sleep(0.2)
        return time.monotonic() - began

    def worker(self) -> int | None:
        """Process id of one of its Python workers."""
        assert self.process
        for daemon in _children(self.process.pid):
            for inner in _children(daemon):
                for worker in _children(inner):
                    return worker
        return None

    def tail(self, size: int = 3000) -> str:
        """The end of the log."""
        return self.log.read_bytes()[-size:].decode(errors="replace")


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
