"""PostgreSQL as readers see it: pools whose connections work as the role ci_api and cannot write by accident.

Statements are bounded in time, transactions are read-only unless opened by `writing`. Errors name no password.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout
from pydantic import SecretStr

from crypto_intel.serving.queries.query import Page, Query, Row, page_of

ROLE = "ci_api"
ADMIN_ROLE = "ci_admin"
STATEMENT_S = 5
"""Longest statement. The slowest one that was measured takes 0.2 s (8 days of completeness of ten markets)."""

WAIT_S = 2.0
"""Longest wait for a free connection; then the answer is 503 and to try again."""

log = structlog.get_logger(__name__)
_AsyncPool = AsyncConnectionPool[psycopg.AsyncConnection[Row]]
_T = TypeVar("_T")


class UnavailableError(Exception):
    """PostgreSQL does not answer now; the same request may work soon."""


def _options(application: str) -> dict[str, Any]:
    settings = f"-c timezone=UTC -c statement_timeout={STATEMENT_S}s -c default_transaction_read_only=on"
    return {
        "autocommit": True,
        "application_name": application,
        "connect_timeout": 5,
        "options": f"{settings} -c idle_in_transaction_session_timeout=10s",
    }


class AsyncDatabase:
    """For the API: runs queries on a pool. `open` before use; it waits for no server, so that the API starts without.

    Args:
        dsn: libpq URI; never shown.
        connections: at most.
    """

    def __init__(self, dsn: SecretStr, *, connections: int = 8, application: str = "crypto-intel api") -> None:
        self._pool: _AsyncPool = AsyncConnectionPool(
            dsn.get_secret_value(),
            kwargs=_options(application),
            configure=_as_reader,
            min_size=1,
            max_size=connections,
            timeout=WAIT_S,
            max_waiting=200,
            reconnect_timeout=10,
            open=False,
            name="api",
        )

    async def open(self) -> None:
        """Begin to connect."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Let the connections go."""
        await self._pool.close(timeout=2)

    async def rows(self, query: Query) -> list[Row]:
        """The query's rows, one more than its limit where it has pages.

        Raises:
            UnavailableError: PostgreSQL does not answer, or not in time.
            psycopg.DataError: a value that PostgreSQL does not take.
        """
        return await self._retried(lambda: self._fetch(query))

    async def page(self, query: Query) -> Page:
        """A page of the query."""
        return page_of(query, await self.rows(query))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """A transaction that may write what ci_api may; committed at the end unless an error passes through."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute("SET TRANSACTION READ WRITE")
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise UnavailableError(type(error).__name__) from error

    @asynccontextmanager
    async def acting(self, actor: str) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """As `writing`, for somebody: rules of rows that have an owner, and ops.audit, go by who it is."""
        async with self.writing() as connection:
            await connection.execute("SELECT set_config('crypto_intel.actor', %s, true)", (actor,))
            yield connection

    @asynccontextmanager
    async def administering(self, actor: str) -> AsyncIterator[psycopg.AsyncConnection[Row]]:
        """A transaction that may change what people set, as the role ci_admin; ops.audit keeps who it was."""
        async with self.acting(actor) as connection:
            await connection.execute(f"SET LOCAL ROLE {ADMIN_ROLE}".encode())
            yield connection

    async def own_page(self, query: Query, actor: str) -> Page:
        """A page of rows that have an owner: of this one's alone, as the rules of the rows say."""
        async with self.acting(actor) as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(query.statement.encode(), query.params)
            return page_of(query, await cursor.fetchall())

    async def _fetch(self, query: Query) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(query.statement.encode(), query.params)
            return await cursor.fetchall()

    async def _retried(self, fetch: Callable[[], Any]) -> list[Row]:
        # Once: a connection that the server closed meanwhile shows only on use.
        for attempt in (1, 2):
            try:
                return await fetch()  # type: ignore[no-any-return]
            except psycopg.errors.QueryCanceled as error:
                raise UnavailableError("the statement took too long") from error
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                if attempt == 2 or isinstance(error, PoolTimeout):
                    raise UnavailableError(type(error).__name__) from error
        raise AssertionError("unreachable")


class Database:
    """For the dashboard: the same reads without asyncio. Used by many threads at once."""

    def __init__(self, dsn: SecretStr, *, connections: int = 4, application: str = "crypto-intel dashboard") -> None:
        self._pool: ConnectionPool[psycopg.Connection[Row]] = ConnectionPool(
            dsn.get_secret_value(),
            kwargs=_options(application),
            configure=_as_reader_sync,
            min_size=1,
            max_size=connections,
            timeout=WAIT_S,
            reconnect_timeout=10,
            open=True,
            name="dashboard",
        )

    def page(self, query: Query) -> Page:
        """A page of the query.

        Raises:
            UnavailableError: PostgreSQL does not answer, or not in time.
        """
        for attempt in (1, 2):
            try:
                with self._pool.connection() as connection:
                    cursor = connection.cursor(binary=True)
                    return page_of(query, cursor.execute(query.statement.encode(), query.params).fetchall())
            except psycopg.errors.QueryCanceled as error:
                raise UnavailableError("the statement took too long") from error
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                if attempt == 2 or isinstance(error, PoolTimeout):
                    raise UnavailableError(type(error).__name__) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Let the connections go."""
        self._pool.close(timeout=2)


async def _as_reader(connection: psycopg.AsyncConnection[Row]) -> None:
    await connection.execute(f"SET ROLE {ROLE}".encode())


def _as_reader_sync(connection: psycopg.Connection[Row]) -> None:
    connection.execute(f"SET ROLE {ROLE}".encode())
