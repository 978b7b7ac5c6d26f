"""Reads counts and rows from each store of the stack: Kafka, the lake, PostgreSQL, the cache, the source's ledger.

Each reader keeps its connection and answers None (or an empty list) while its store is away: the view shows that as
unknown. None of them writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import psycopg
import redis
from confluent_kafka import Consumer, KafkaException, TopicPartition
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from psycopg.rows import dict_row

from crypto_intel.contracts.columns import Table
from streaming.simulator.ledger import Account, read_account

Offsets = dict[str, dict[int, int]]
"""topic -> partition -> offset of the next record."""


class KafkaReader:
    """End offsets of topics."""

    def __init__(self, bootstrap: str) -> None:
        self._config = {"bootstrap.servers": bootstrap, "group.id": "crypto-intel-status", "log_level": 0}
        self._consumer: Consumer | None = None

    def end_offsets(self, topics: list[str], timeout_s: float = 2) -> Offsets | None:
        """The end of every partition of the topics; None when the broker does not answer."""
        if self._consumer is None:
            self._consumer = Consumer(self._config)
        try:
            known = self._consumer.list_topics(timeout=timeout_s).topics
            return {topic: self._ends(topic, sorted(known[topic].partitions)) for topic in topics if topic in known}
        except KafkaException:
            return None

    def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            self._consumer.close()

    def _ends(self, topic: str, partitions: list[int]) -> dict[int, int]:
        assert self._consumer is not None  # noqa: S101 - for the type checker; end_offsets has made it
        found = {}
        for partition in partitions:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=2)
            found[partition] = int(end)
        return found


class LakeReader:
    """Rows and versions of lake tables, from their logs alone."""

    def __init__(self, lake: str) -> None:
        self._lake = lake
        self._open: dict[str, DeltaTable] = {}

    def table(self, table: Table) -> DeltaTable | None:
        """The table at its newest version; None when nothing has written it yet."""
        known = self._open.get(table.full_name)
        try:
            if known is None:
                known = self._open[table.full_name] = DeltaTable(table.path(self._lake))
            else:
                known.update_incremental()
        except (DeltaError, OSError):
            return self._open.get(table.full_name)
        return known

    def rows(self, table: Table) -> int | None:
        """Rows by the log's statistics; None when the table is not there or has none."""
        found = self.table(table)
        if found is None:
            return None
        counts = found.get_add_actions(flatten=True).column("num_records").to_pylist()
        return None if None in counts else sum(counts)

    def version(self, table: Table) -> int | None:
        """Newest version; None when the table is not there."""
        found = self.table(table)
        return None if found is None else int(found.version())


class DatabaseReader:
    """Rows of PostgreSQL, over one connection that is made again when it breaks."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def rows(self, query: str) -> list[dict[str, Any]] | None:
        """The query's rows; None when the database does not answer or the table is not there."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=2, row_factory=dict_row)
            return self._connection.execute(query).fetchall()
        except psycopg.Error:
            return None

    def value(self, query: str) -> int | None:
        """The first column of the first row."""
        rows = self.rows(query)
        return int(next(iter(rows[0].values()))) if rows else None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


def redis_keys(url: str) -> int | None:
    """Keys in the cache; None when it does not answer."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    try:
        return int(client.dbsize())
    except redis.RedisError:
        return None
    finally:
        client.close()


def source_account(path: Path) -> Account | None:
    """The simulated source's own account; None when there is none (a live source, or not started yet)."""
    try:
        return read_account(path)
    except (OSError, msgspec.DecodeError):
        return None
