"""From a span of a market back to the Kafka records that it was made of, as bronze in the lake holds them. Reads only.

One place for the API's /lineage and for `crypto-intel trace`. Each hop is told by its own clock: the venue's
(event_time), the producer's (received_at) and the broker's (kafka_time).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import BRONZE_NEWS, BRONZE_TRADES

if TYPE_CHECKING:
    import polars as pl

_CLOCKS = ("event_time", "received_at", "kafka_time")
NEWS_COLUMNS = (
    "article_id", "title", "published_at", "first_seen_at", "kafka_topic", "kafka_partition", "kafka_offset",
    "kafka_time",
)  # fmt: skip


class Span(NamedTuple):
    """A market between two event times, the second one not included."""

    venue: str
    symbol: str
    start: datetime
    end: datetime


class LakeUnreadableError(Exception):
    """The lake, or the table in it, cannot be read from here; the text is the kind of fault alone."""


def span_of(bars: Sequence[dict[str, Any]]) -> Span | None:
    """What bars of one market cover, in order of time; None without bars."""
    if not bars:
        return None
    return Span(bars[0]["venue"], bars[0]["symbol"], bars[0]["window_start"], bars[-1]["window_end"])


def trade_records(lake: str, span: Span) -> list[dict[str, Any]]:
    """The records of the span's trades by topic and partition: offsets, how many, first and last time by each clock.

    Raises:
        LakeUnreadableError: the table cannot be read.
    """
    import polars as pl  # noqa: PLC0415 - most readers are never asked for a lineage

    clocks = [
        getattr(pl.col(clock), of)().alias(f"{name}_{clock}")
        for clock in _CLOCKS
        for name, of in (("first", "min"), ("last", "max"))
    ]
    return _collect(
        lake,
        BRONZE_TRADES,
        lambda rows: (
            rows.filter(
                # A trade's day is its event time's; the partition filter leaves every other day unread.
                pl.col("event_date").is_between(span.start.date() - timedelta(days=1), span.end.date()),
                pl.col("venue") == span.venue,
                pl.col("symbol") == span.symbol,
                pl.col("event_time").is_between(span.start, span.end, closed="left"),
            )
            .group_by(topic="kafka_topic", partition="kafka_partition")
            .agg(
                *clocks,
                first_offset=pl.col("kafka_offset").min(),
                last_offset=pl.col("kafka_offset").max(),
                records=pl.len(),
            )
            .sort("topic", "partition")
        ),
    )


def news_records(lake: str, article_ids: Sequence[str], before: datetime) -> list[dict[str, Any]]:
    """The records that first told of these articles, in order of first sight.

    Args:
        before: no article of the last ten days before this moment is left out; older ones are not looked for.

    Raises:
        LakeUnreadableError: the table cannot be read.
    """
    import polars as pl  # noqa: PLC0415

    since = before.date() - timedelta(days=10)
    return _collect(
        lake,
        BRONZE_NEWS,
        lambda rows: (
            rows.filter(pl.col("event_date") >= since, pl.col("article_id").is_in(list(article_ids)))
            .select(NEWS_COLUMNS)
            .sort("first_seen_at", "kafka_offset")
            .unique("article_id", keep="first", maintain_order=True)
        ),
    )


def _collect(lake: str, table: Table, ask: Any) -> list[dict[str, Any]]:
    import polars as pl  # noqa: PLC0415
    from deltalake import DeltaTable  # noqa: PLC0415
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        rows: pl.LazyFrame = pl.scan_delta(DeltaTable(table.path(lake)))
        return list(ask(rows).collect().to_dicts())
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        raise LakeUnreadableError(type(error).__name__) from error
