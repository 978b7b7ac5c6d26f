"""Fixtures of the sinks' tests: a migrated database and sinks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from streaming.sinks.postgres import PostgresSink

Rows = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def sink(own_postgres_dsn: str) -> Iterator[PostgresSink]:
    """A sink on a database of its own."""
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="publish", epoch="checkpoint-1")
    yield sink
    sink.close()


@pytest.fixture
def rows(own_postgres_dsn: str) -> Iterator[Rows]:
    """Ask the database: the rows of a statement as dicts."""
    with psycopg.connect(own_postgres_dsn, autocommit=True, row_factory=dict_row) as connection:
        yield lambda statement: connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]
