"""PostgreSQL as the exporter reads it: one connection, read-only, statements of two seconds at most."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

_OPTIONS = "-c timezone=UTC -c statement_timeout=2s -c default_transaction_read_only=on -c lock_timeout=500ms"


class Reader:
    """Runs queries over one connection, which is made again when it broke.

    Args:
        dsn: libpq URI; never shown.
    """

    def __init__(self, dsn: SecretStr) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """The statement's rows.

        Raises:
            psycopg.Error: the server is away, or the statement took too long.
        """
        try:
            return self._open().execute(statement.encode(), values).fetchall()
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn.get_secret_value(),
                autocommit=True,
                connect_timeout=2,
                options=_OPTIONS,
                application_name="crypto-intel exporter",
                row_factory=dict_row,
            )
        return self._connection
