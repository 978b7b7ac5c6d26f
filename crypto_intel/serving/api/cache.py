"""Answers that are costly to reckon and asked for often, kept in Redis for some seconds.

Guarantee: none, on purpose. A Redis that is away, slow or empty means that the answer is reckoned: the same, slower.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any

import msgspec
import redis.asyncio
import structlog
from pydantic import SecretStr
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from crypto_intel.serving.database import AsyncDatabase
from crypto_intel.serving.queries.query import Page, Query, page_of

TIMEOUT_S = 0.1
AWAY_S = 5.0
"""A Redis that failed is left alone for so long."""

_TYPES: dict[str, Any] = {
    "string": str | None,
    "bigint": int | None,
    "double": float | None,
    "boolean": bool | None,
    "date": date | None,
    "timestamp": datetime | None,
    "array<string>": list[str] | None,
}
log = structlog.get_logger(__name__)


class Cache:
    """Pages of queries by what was asked.

    Args:
        url: redis:// URL; None: every page is read from PostgreSQL.
    """

    def __init__(self, url: SecretStr | None, database: AsyncDatabase) -> None:
        self._database = database
        self._again_at = 0.0
        self._client = None if url is None else _client(url)

    async def page(self, query: Query, *, keep_s: float) -> Page:
        """The query's page, at most `keep_s` old."""
        key = f"crypto-intel:page:{_digest(query)}"
        kept = await self._try(lambda client: client.get(key))
        if isinstance(kept, bytes):
            return page_of(query, _decode(query, kept))
        rows = await self._database.rows(query)
        text = msgspec.msgpack.encode(rows)
        await self._try(lambda client: client.set(key, text, px=int(keep_s * 1000)))
        return page_of(query, rows)

    async def answers(self) -> bool | None:
        """Whether Redis answers; None where there is none."""
        if self._client is None:
            return None
        self._again_at = 0.0
        return bool(await self._try(lambda client: client.ping()))

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            await self._client.aclose()

    async def _try(self, ask: Callable[[redis.asyncio.Redis], Awaitable[object]]) -> object:
        if self._client is None or time.monotonic() < self._again_at:
            return None
        try:
            return await ask(self._client)
        except redis.RedisError as error:
            log.warning("redis is away; answers are reckoned each time", error=type(error).__name__)
            self._again_at = time.monotonic() + AWAY_S
            return None


def _client(url: SecretStr) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(
        url.get_secret_value(),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


def _digest(query: Query) -> str:
    asked = msgspec.json.encode([query.statement, query.params], order="deterministic")
    return hashlib.blake2b(asked, digest_size=16).hexdigest()


def _decode(query: Query, kept: bytes) -> list[tuple[object, ...]]:
    row = tuple.__class_getitem__(tuple(_TYPES[column.type] for column in query.columns))
    return msgspec.msgpack.decode(kept, type=list.__class_getitem__(row))  # type: ignore[no-any-return]
