"""From bars to the Kafka records that they were made of, as bronze in the lake holds them. Reads only."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import lru_cache
from typing import Any

import structlog

from crypto_intel.contracts.tables import BRONZE_TRADES

log = structlog.get_logger(__name__)
_ONE_AT_A_TIME = asyncio.Semaphore(1)
"""A scan of a day of trades takes a core and some 100 MB for a moment."""


async def records_of(lake: str, bars: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Offsets of the trades of these bars by topic and partition; None where the lake cannot be read from here."""
    wanted = [bar for bar in bars if bar["first_trade_id"] is not None]
    if not wanted:
        return []
    async with _ONE_AT_A_TIME:
        return await asyncio.to_thread(_scan, lake, wanted)


@lru_cache(maxsize=8)  # each kind of fault once: whoever asks gets null, again and again
def _note(kind: str) -> None:
    log.warning("the lake cannot be read", error=kind)


def _scan(lake: str, bars: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    # On use: most APIs are never asked for a lineage.
    import polars as pl  # noqa: PLC0415
    from deltalake import DeltaTable  # noqa: PLC0415
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    start, end = bars[0]["window_start"], bars[-1]["window_end"]
    try:
        frame = pl.scan_delta(DeltaTable(BRONZE_TRADES.path(lake)))
        found = (
            frame.filter(
                # A trade's day is its event time's; the partition filter leaves every other day unread.
                pl.col("event_date").is_between(start.date() - timedelta(days=1), end.date()),
                pl.col("venue") == bars[0]["venue"],
                pl.col("symbol") == bars[0]["symbol"],
                pl.col("trade_id").is_between(
                    min(bar["first_trade_id"] for bar in bars), max(bar["last_trade_id"] for bar in bars)
                ),
            )
            .group_by(topic="kafka_topic", partition="kafka_partition")
            .agg(
                first_offset=pl.col("kafka_offset").min(),
                last_offset=pl.col("kafka_offset").max(),
                records=pl.len(),
            )
            .sort("topic", "partition")
            .collect()
        )
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        _note(type(error).__name__)
        return None
    return found.to_dicts()
