"""PostgreSQL, or a Supabase project's database: connections in UTC, whose errors name no password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import psycopg

from crypto_intel.contracts.settings import Settings
from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError

CONNECT_TIMEOUT_S = 5


class Postgres(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens one connection a use.

    Args:
        dsn: libpq URI; empty: as the settings say (CRYPTO_INTEL_POSTGRES_DSN or SUPABASE_DB_URL).
    """

    dsn: str = ""

    def is_configured(self) -> bool:
        """A database is named, whether it answers or not."""
        return bool(self.dsn or Settings().postgres_dsn)

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection whose work is committed on success and rolled back on failure.

        Raises:
            NotConfigured: no database is named.
            TransientError: it does not answer.
        """
        try:
            connection = psycopg.connect(self._dsn(), connect_timeout=CONNECT_TIMEOUT_S, options="-c timezone=UTC")
        except psycopg.OperationalError as error:
            raise TransientError(f"PostgreSQL does not answer: {error}") from None
        except psycopg.ProgrammingError:
            # Its text repeats the part of the URI that it could not read, which may be the password.
            raise PermanentError(
                "CRYPTO_INTEL_POSTGRES_DSN is no libpq URI: postgresql://user:password@host/db"
            ) from None
        with connection:
            yield connection

    def _dsn(self) -> str:
        secret = Settings().postgres_dsn
        dsn = self.dsn or (secret.get_secret_value() if secret else "")
        if not dsn:
            raise NotConfigured("CRYPTO_INTEL_POSTGRES_DSN", "to publish to and read from PostgreSQL")
        return dsn
