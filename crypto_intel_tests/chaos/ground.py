"""Where faults happen: real servers, started by whoever needs them, and an application with topics of its own for each.

A fault that would disturb the others' server (a frozen broker, a stopped PostgreSQL) starts one of its own here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.jars import Jars
from crypto_intel.stack.kafka import KafkaServer, create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, ensure_database, migrate
from crypto_intel.stack.process import Server
from crypto_intel.stack.valkey import ValkeyServer
from crypto_intel_tests.chaos.application import Application

LAKE_QUERIES = ("ingest", "bar_news")
ALL_QUERIES = ("ingest", "publish", "live", "bar_news")


@dataclass(frozen=True)
class Ground:
    """Servers that faults share.

    Args:
        folder: for everything that is written.
        bootstrap: of the broker.
        dsn: of PostgreSQL, for applications that publish.
        redis_url: of Redis, for those.
        applications: all that were made here.
    """

    folder: Path
    bootstrap: str
    java_home: Path
    jars: Jars
    dsn: str = ""
    redis_url: str = ""
    applications: list[Application] = field(default_factory=list)

    def end(self) -> None:
        """End what a fault has left running."""
        for application in self.applications:
            application.kill()
        self.applications.clear()

    def application(self, name: str, queries: tuple[str, ...] = LAKE_QUERIES, **extra: str) -> Application:
        """An application with a data folder, topics and, where it publishes, a database of its own."""
        mark = uuid.uuid4().hex[:8]
        topics = Topics(**{field: f"{topic}_{mark}" for field, topic in Topics().model_dump().items()})
        create_topics(self.bootstrap, topics.all)
        folder = self.folder / f"{name.replace(':', '-').replace('.', '-')}-{mark}"
        application = Application(folder, self.bootstrap, topics, self.java_home, self.jars, queries, extra)
        self.applications.append(application)
        if set(queries) - set(LAKE_QUERIES):
            application.dsn = ensure_database(self.dsn, f"chaos_{mark}")
            migrate(application.dsn)
            application.redis_url = self.redis_url
            client = redis.Redis.from_url(self.redis_url)
            client.flushall()
            client.close()
        return application

    @contextlib.contextmanager
    def own_broker(self) -> Iterator[tuple[Ground, Broker]]:
        """The same ground with a broker that nobody else uses."""
        with Broker.at(self.folder / f"kafka-{uuid.uuid4().hex[:8]}", self.java_home, self.jars) as broker:
            yield replace(self, bootstrap=broker.kafka.bootstrap), broker

    @contextlib.contextmanager
    def own_stores(self) -> Iterator[tuple[Ground, Stores]]:
        """The same ground with a PostgreSQL and a Redis that nobody else uses."""
        with Stores.at(self.folder / f"stores-{uuid.uuid4().hex[:8]}") as stores:
            yield replace(self, dsn=stores.postgres.dsn, redis_url=stores.cache.url), stores


@dataclass
class Broker:
    """A broker that can be frozen, killed and started again."""

    kafka: KafkaServer
    running: Server

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It stands still; connections stay open and nobody answers."""
        os.kill(self.running.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.running.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.running.pid, signal.SIGKILL)
        self.running.stop()

    def start(self) -> None:
        """Start it again on its files."""
        self.running = self.kafka.start().wait_until_ready()

    @classmethod
    @contextlib.contextmanager
    def at(cls, folder: Path, java_home: Path, jars: Jars) -> Iterator[Broker]:
        """Started in a folder; stopped at the end."""
        port = free_port()
        kafka = KafkaServer(folder, port, free_port({port}), java_home, jars)
        broker = cls(kafka, kafka.start())
        try:
            broker.running.wait_until_ready()
            yield broker
        finally:
            broker.running.stop()
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Stores:
    """PostgreSQL and Redis that can be stopped and started again."""

    postgres: PostgresServer
    cache: ValkeyServer
    running: dict[str, Server] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def at(cls, folder: Path) -> Iterator[Stores]:
        """Started in a folder; stopped at the end."""
        port = free_port()
        stores = cls(PostgresServer(folder / "postgres", port), ValkeyServer(folder / "valkey", free_port({port})))
        try:
            stores.start("postgres")
            stores.start("cache")
            yield stores
        finally:
            for server in stores.running.values():
                server.stop()

    def start(self, name: str) -> None:
        """Start one of them: `postgres` or `cache`."""
        server = self.postgres if name == "postgres" else self.cache
        self.running[name] = server.start().wait_until_ready()

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """One of them stands still: it takes connections and answers nobody."""
        os.kill(self.running[name].pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.running[name].pid, signal.SIGCONT)

    def is_running(self, name: str) -> bool:
        """Whether one of them has not ended by itself."""
        return self.running[name].is_running

    def stop(self, name: str) -> None:
        """Stop one of them."""
        self.running.pop(name).stop()


@contextlib.contextmanager
def ground_at(folder: Path, java_home: Path, jars: Jars) -> Iterator[Ground]:
    """A ground with servers of its own, for runs by hand."""
    with Broker.at(folder / "kafka", java_home, jars) as broker, Stores.at(folder / "stores") as stores:
        yield Ground(folder, broker.kafka.bootstrap, java_home, jars, stores.postgres.dsn, stores.cache.url)
