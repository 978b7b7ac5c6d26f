"""From what feeds said to the state that each of their streams is in."""

from __future__ import annotations

import polars as pl

HEARTBEAT = "heartbeat"
"""The stream that stands for a feed's signs of life."""

STATUSES = ("connected", "disconnected", "heartbeat", "poll", "ended")
"""Statuses that tell of a state; the others are about trade ids."""

_FAILED = ("failed:", "could not fetch")


def feed_states(statuses: pl.DataFrame) -> pl.DataFrame:
    """venue, stream, state, detail, event_time: the newest of each stream.

    Args:
        statuses: rows of bronze.feed_status; other statuses than STATUSES are left out.
    """
    status = pl.col("status")
    has_failed = pl.any_horizontal(pl.col("detail").str.starts_with(word) for word in _FAILED)
    state = (
        pl.when(status == "heartbeat")
        .then(pl.lit("alive"))
        .when(status == "poll")
        .then(pl.when(has_failed).then(pl.lit("failing")).otherwise(pl.lit("polled")))
        .otherwise(status)
    )
    is_sign = status.is_in(["heartbeat", "ended"])  # a feed's end comes as its last heartbeat
    told = statuses.filter(status.is_in(STATUSES)).select(
        "venue",
        stream=pl.when(is_sign).then(pl.lit(HEARTBEAT)).otherwise("stream"),
        state=state,
        detail="detail",
        event_time="received_at",
        is_end=status == "ended",
    )
    newest = told.sort("event_time", "is_end").group_by("venue", "stream", maintain_order=True).last()
    return newest.drop("is_end").sort("venue", "stream")
