"""One connection to PostgreSQL that survives its server: opened when needed, dropped on trouble, its secret kept.

What belongs here: connecting, transactions and what a psycopg error means for the caller. What does not: any table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from streaming.errors import FatalError, RetryableError

_LIMITS = {"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
# A server that vanished without a word is noticed within these, not after the system's two hours.
_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby that is about to take over
    psycopg.errors.IdleInTransactionSessionTimeout,
)


class PostgresConnection:
    """A connection that is made on its first use and again after each failure. One thread at a time.

    Args:
        dsn: libpq URI or key=value string; a Supabase project's database URL fits, through its pooler too.
        application: name under which the server lists the connection.

    Raises:
        FatalError: the text is no DSN; the message never repeats it.
    """

    def __init__(self, dsn: SecretStr, *, application: str) -> None:
        self._conninfo = SecretStr(_checked(dsn, application))
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """One transaction: committed at the block's end, rolled back by an exception.

        Raises:
            RetryableError: the server is away, busy or read-only; whether a commit that was under way has happened
                is not known, so what is repeated must be guarded.
            FatalError: the server understood and refused; repeating would be refused again.
        """
        try:
            connection = self._open()
            with connection.transaction():
                _set_limits(connection)
                yield connection
        except _AWAY as error:
            self.close()
            raise RetryableError(f"PostgreSQL is not available: {describe(error)}") from None
        except psycopg.Error as error:
            self.close()
            raise FatalError(f"PostgreSQL refused: {describe(error)}") from None

    def close(self) -> None:
        """Let the connection go; the next use makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            # No prepared statements: a pooler may hand each transaction to another server process.
            self._connection = psycopg.connect(
                self._conninfo.get_secret_value(), autocommit=True, prepare_threshold=None
            )
        return self._connection


def describe(error: psycopg.Error) -> str:
    """What went wrong, without the rows concerned (`DETAIL` quotes them) and without the connection's parameters."""
    if error.sqlstate is None:
        return f"{type(error).__name__}: {error}".strip()
    return f"{type(error).__name__} ({error.sqlstate}): {error.diag.message_primary}"


def _set_limits(connection: psycopg.Connection) -> None:
    # Within each transaction, since a pooler may hand each one to another session.
    settings = ", ".join("set_config(%s, %s, true)" for _ in _LIMITS)
    connection.execute(f"SELECT {settings}", [part for pair in _LIMITS.items() for part in pair])


def _checked(dsn: SecretStr, application: str) -> str:
    try:
        parameters = conninfo_to_dict(dsn.get_secret_value())
    except psycopg.Error:
        parameters = {}
    # An unescaped @ or / in the password moves a part of it into host or port, and from there into error messages.
    place = f"{parameters.get('host', '')}{parameters.get('port', '')}"
    if not parameters or "@" in place or not str(parameters.get("port", "0")).replace(",", "").isdigit():
        raise FatalError(
            "CRYPTO_INTEL_POSTGRES_DSN (or SUPABASE_DB_URL) is not a libpq URI such as "
            "postgresql://user:password@host:5432/database; @ : / ? # in the password must be percent-encoded"
        )
    return make_conninfo("", **{**_CONNECT, **parameters, "application_name": application})
