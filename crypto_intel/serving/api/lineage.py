"""The lineage of bars for requests: one scan of the lake at a time, and null where the lake is not in reach."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

import structlog

from crypto_intel.serving.lineage import LakeUnreadableError, span_of, trade_records

log = structlog.get_logger(__name__)
_ONE_AT_A_TIME = asyncio.Semaphore(1)
"""A scan of a day of trades takes a core and some 100 MB for a moment."""


async def records_of(lake: str, bars: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The Kafka records of these bars' trades by topic and partition; None where the lake cannot be read from here."""
    span = span_of([bar for bar in bars if bar["first_trade_id"] is not None])
    if span is None:
        return []
    try:
        async with _ONE_AT_A_TIME:
            return await asyncio.to_thread(trade_records, lake, span)
    except LakeUnreadableError as error:
        _note(str(error))
        return None


@lru_cache(maxsize=8)  # each kind of fault once: whoever asks gets null, again and again
def _note(kind: str) -> None:
    log.warning("the lake cannot be read", error=kind)
