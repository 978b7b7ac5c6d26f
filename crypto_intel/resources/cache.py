"""The Redis cache, read to compare it with PostgreSQL; who writes it is streaming/sinks/redis.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from crypto_intel.contracts.settings import Settings
from crypto_intel.core.errors import TransientError
from crypto_intel.core.frames import UTC_US

BAR_PREFIX = "bar:1m:"
TIMEOUT_S = 2
_SCHEMA: dict[str, Any] = {
    "venue": pl.String,
    "symbol": pl.String,
    "window_start": UTC_US,
    "cached_close": pl.Float64,
    "served_close": pl.Float64,
    "newest_served": UTC_US,
}


def is_configured() -> bool:
    """A cache is named, whether it answers or not."""
    return Settings().redis_url is not None


def compared_bars(connection: psycopg.Connection[Any]) -> pl.DataFrame:
    """Each market's cached bar beside the served one of the same minute, and the newest minute that is served.

    Raises:
        TransientError: the cache does not answer.
    """
    query = (
        "SELECT (SELECT close FROM public.bars_1m WHERE (venue, symbol, window_start) = (%(v)s, %(s)s, %(at)s)), "
        "(SELECT max(window_start) FROM public.bars_1m WHERE (venue, symbol) = (%(v)s, %(s)s))"
    )
    rows = []
    for venue, symbol, at, close in _cached_bars():
        found = connection.execute(query, {"v": venue, "s": symbol, "at": at}).fetchone()
        rows.append((venue, symbol, at, close, *(found or (None, None))))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _cached_bars() -> list[tuple[str, str, datetime, float | None]]:
    url = Settings().redis_url
    if url is None:
        return []
    # On use: with its asyncio half it takes as long to import as the asset graph, and one check needs it.
    import redis  # noqa: PLC0415

    client = redis.Redis.from_url(url.get_secret_value(), decode_responses=True, socket_connect_timeout=TIMEOUT_S)
    try:
        found: list[tuple[str, dict[str, str]]] = [
            (key, client.hgetall(key))  # type: ignore[misc]
            for key in sorted(client.scan_iter(f"{BAR_PREFIX}*"))
        ]
    except redis.RedisError as error:
        raise TransientError(f"Redis does not answer: {type(error).__name__}") from None
    finally:
        client.close()
    return [_bar(key.removeprefix(BAR_PREFIX), row) for key, row in found if "window_start" in row]


def _bar(market: str, row: dict[str, str]) -> tuple[str, str, datetime, float | None]:
    venue, _, symbol = market.partition(":")
    close = row.get("close")
    return venue, symbol, datetime.fromisoformat(row["window_start"]), float(close) if close else None
