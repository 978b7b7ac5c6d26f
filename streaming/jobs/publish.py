"""publish: what the lake has -> PostgreSQL (or Supabase) and Redis: bars, pairs, articles, gaps, the state of feeds,
and the provisional rows of market_enriched that follow from them.

It follows the streamed tables, so it can only show what the record has. While PostgreSQL is away it waits
with its batch; the lake's queries go on, and it catches up by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.serving import FEEDS, SERVED
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    SILVER_BAR_NEWS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_PRICE_MEANS_5M,
)
from streaming.jobs.follower import Follower, Progress, Rows, Sink
from streaming.jobs.publisher import Publisher
from streaming.settings import StreamingSettings
from streaming.sinks.delta import Lake
from streaming.transforms.feeds import feed_states

NAME = "publish"
SERVED_FROM: dict[str, Table] = {
    "bars_1m": SILVER_BARS_1M,
    "bars_5m": SILVER_BARS_5M,
    "price_means_5m": SILVER_PRICE_MEANS_5M,
    "bar_news": SILVER_BAR_NEWS,
    "articles": BRONZE_NEWS,
}
"""Served tables and the streamed table that each shows."""

EMITTED_ONCE = ("bars_1m", "bars_5m", "price_means_5m")
"""Streamed tables whose rows are told once and never change: whoever wrote such a row anew since knew more, a repair or
the closed hour, and keeps it when the stream tells everything again."""

_KEYS = ["venue", "symbol", "window_start"]


def run(settings: StreamingSettings, publisher: Publisher, told: Callable[[Progress], None]) -> Follower:
    """Start the query."""
    followed = dict.fromkeys([*SERVED_FROM.values(), BRONZE_FEED_STATUS], _all)
    return Follower(
        NAME,
        followed,
        Lake(settings.lake_root),
        f"{settings.checkpoint_root}/{NAME}",
        every_s=settings.triggers.publish_s,
        sink=sink_of(publisher, settings.source),
        told=told,
    ).start()


def _all(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


def sink_of(publisher: Publisher, source: str) -> Sink:
    """Publishes the rows of a batch.

    Args:
        source: of the data: sim, replay or live.
    """

    def write(rows: Rows, epoch: str, batch_id: int) -> None:
        upserts = {name: served_rows(rows[table], name) for name, table in SERVED_FROM.items() if table in rows}
        statuses = rows.get(BRONZE_FEED_STATUS)
        if statuses is not None and (states := feed_states(statuses)).height:
            upserts[FEEDS.name] = states.with_columns(source=pl.lit(source))
        publisher.publish(
            NAME,
            epoch,
            batch_id,
            upserts,
            refresh_enriched=enriched_keys(upserts),
            feed_status=statuses,
            only_new=EMITTED_ONCE,
        )

    return write


def served_rows(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Rows of a streamed table as its served table has them, each key once: of an article the first sighting."""
    table = SERVED[name]
    own = rows.sort("first_seen_at") if name == "articles" else rows
    return own.unique(list(table.key), keep="first", maintain_order=True).select(table.column_names)


def enriched_keys(upserts: dict[str, pl.DataFrame]) -> pl.DataFrame | None:
    """Windows whose enriched row may have changed: those of new bars and of new pairs."""
    keys = [upserts[name].select(_KEYS) for name in ("bars_1m", "bar_news") if name in upserts]
    return pl.concat(keys).unique() if keys else None
