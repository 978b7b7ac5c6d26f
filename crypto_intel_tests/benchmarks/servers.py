"""The servers of a benchmark: a real broker, PostgreSQL and Valkey on free loopback ports, gone with the block."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack import java
from crypto_intel.stack.jars import Jars, default_folder, resolve_jars
from crypto_intel.stack.kafka import KafkaServer, admin, create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, ensure_database, migrate
from crypto_intel.stack.valkey import ValkeyServer


@dataclass(frozen=True)
class Servers:
    """What runs; `folder` is scratch of the benchmark."""

    folder: Path
    bootstrap: str
    postgres_dsn: str
    redis_url: str
    java_home: Path
    jars: Jars
    postgres_pid: int = 0

    def topics(self) -> Topics:
        """The platform's topics under names of their own, created."""
        mark = uuid.uuid4().hex[:8]
        topics = Topics(**{field: f"{name}_{mark}" for field, name in Topics().model_dump().items()})
        create_topics(self.bootstrap, topics.all)
        return topics

    def drop(self, topics: Topics) -> None:
        """Delete topics and what they hold."""
        client = admin(self.bootstrap)  # lives until all is answered
        for future in client.delete_topics(topics.all, operation_timeout=30).values():
            future.result(60)

    def database(self) -> str:
        """DSN of a new, migrated database."""
        dsn = ensure_database(self.postgres_dsn, f"bench_{uuid.uuid4().hex[:8]}")
        migrate(dsn)
        return dsn

    def environment(self, data: Path, topics: Topics, dsn: str) -> dict[str, str]:
        """What the platform's processes read their settings from, besides what a benchmark adds."""
        return {
            "JAVA_HOME": str(self.java_home),
            "CRYPTO_INTEL_SOURCE": "sim",
            "CRYPTO_INTEL_DATA_DIR": str(data),
            "CRYPTO_INTEL_KAFKA__BOOTSTRAP": self.bootstrap,
            "CRYPTO_INTEL_POSTGRES_DSN": dsn,
            "CRYPTO_INTEL_REDIS_URL": self.redis_url,
            "CRYPTO_INTEL_SPARK__JARS": str(self.jars.spark),
            **{f"CRYPTO_INTEL_TOPICS__{name.upper()}": topic for name, topic in topics.model_dump().items()},
        }


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start them in `folder`."""
    home = java.find_java_home()
    os.environ["JAVA_HOME"] = str(home)
    jars = resolve_jars(default_folder(), home)
    port = free_port()
    broker = KafkaServer(folder / "kafka", port, free_port({port}), home, jars)
    broker.folder.mkdir(parents=True)
    database, cache = PostgresServer(folder / "postgres", free_port()), ValkeyServer(folder / "valkey", free_port())
    cache.folder.mkdir(parents=True)
    with broker.start() as kafka, database.start() as postgres, cache.start() as valkey:
        for server in (kafka, postgres, valkey):
            server.wait_until_ready()
        yield Servers(folder, broker.bootstrap, database.dsn, cache.url, home, jars, postgres.pid)
