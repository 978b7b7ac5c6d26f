"""API keys: made, listed and revoked. A key is `ci_<id>_<secret>`; the database has the secret's hash alone."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.rows import class_row
from pydantic import SecretStr

SCOPES = ("read", "alerts", "predictions", "admin")
"""read: every read. alerts: acknowledge and judge alerts. predictions: keep predictions, and read one's own.
admin: all of these, and settings."""

PREFIX = "ci_"
_SHAPE = re.compile(r"ci_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
COLUMNS = "key_id, secret_sha256, name, scopes, rate_per_minute, created_at, expires_at, revoked_at"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept. `rate_per_minute` None: as the API is set."""

    key_id: str
    secret_sha256: bytes
    name: str
    scopes: list[str]
    rate_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, secret: str, now: datetime) -> bool:
        """The secret is its own, and it is neither expired nor revoked."""
        if not hmac.compare_digest(digest(secret), self.secret_sha256):
            return False
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def state(self) -> str:
        """In one word."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= datetime.now(UTC) else "good"


def digest(secret: str) -> bytes:
    """What is kept of a secret. It has 256 random bits: nothing that is slow on purpose is needed."""
    return hashlib.sha256(secret.encode()).digest()


def split(token: str) -> tuple[str, str] | None:
    """Id and secret of a token; None when it is no key."""
    found = _SHAPE.fullmatch(token)
    return (found[1], found[2]) if found else None


def create(
    dsn: SecretStr,
    name: str,
    scopes: Sequence[str] = ("read",),
    *,
    expires_in: timedelta | None = None,
    rate_per_minute: int | None = None,
) -> SecretStr:
    """Make a key and keep its hash. The key is nowhere else: show it once.

    Raises:
        ValueError: a scope that there is not.
        psycopg.Error: the database does not take it.
    """
    if unknown := set(scopes) - set(SCOPES):
        raise ValueError(f"no scope {', '.join(sorted(unknown))}; there are: {', '.join(SCOPES)}")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    expires_at = datetime.now(UTC) + expires_in if expires_in else None
    with psycopg.connect(dsn.get_secret_value()) as connection:
        connection.execute(
            "INSERT INTO ops.api_keys (key_id, secret_sha256, name, scopes, rate_per_minute, expires_at) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (key_id, digest(secret), name, list(scopes), rate_per_minute, expires_at),
        )
    return SecretStr(f"{PREFIX}{key_id}_{secret}")


def listed(dsn: SecretStr) -> list[ApiKey]:
    """Every key, oldest first."""
    with (
        psycopg.connect(dsn.get_secret_value()) as connection,
        connection.cursor(row_factory=class_row(ApiKey)) as cursor,
    ):
        return cursor.execute(f"SELECT {COLUMNS} FROM ops.api_keys ORDER BY created_at, key_id").fetchall()  # noqa: S608


def revoke(dsn: SecretStr, key_id: str) -> bool:
    """Refuse the key from now on; False when there is none, or it was revoked before."""
    with psycopg.connect(dsn.get_secret_value()) as connection:
        cursor = connection.execute(
            "UPDATE ops.api_keys SET revoked_at = now() WHERE key_id = %s AND revoked_at IS NULL", (key_id,)
        )
        return cursor.rowcount == 1
