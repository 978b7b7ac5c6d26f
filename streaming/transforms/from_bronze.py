"""Rows of bronze back into what the stateful steps take: for what is folded or judged again."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streaming.transforms.decode import BEATS, trade_columns
from streaming.transforms.rules.market import NewsItem


def trade_events(rows: pl.LazyFrame, also: Sequence[str] = ()) -> pl.LazyFrame:
    """Rows of bronze.trades or silver.trades as decode.TRADE_EVENTS, with the columns `also` beside them."""
    return rows.select(*trade_columns(pl.col("event_time").dt.epoch("us")), *also)


def news_items(rows: pl.DataFrame, clock: str) -> list[NewsItem]:
    """Rows of bronze.news as rules know them, those about no asset too; `clock` is `published` or `first_seen`."""
    told = rows.select(
        "article_id",
        pl.coalesce("cluster_id", "article_id").alias("cluster_id"),
        "symbols",
        pl.col(f"{clock}_at").dt.epoch("us").alias("at"),
    )
    return [NewsItem(one, cluster, tuple(assets), at) for one, cluster, assets, at in told.iter_rows()]


def beat_events(rows: pl.LazyFrame, markets: Sequence[str], also: Sequence[str] = ()) -> pl.LazyFrame:
    """Heartbeats among rows of bronze.feed_status as decode.BEATS, with the columns `also` beside them.

    The lake keeps a heartbeat without its symbols: it is for every market of its venue among `markets`.
    """
    of_venue = pl.LazyFrame({"market": markets}, schema={"market": pl.String}).with_columns(
        venue=pl.col("market").str.split(":").list.first()
    )
    beats = rows.filter(pl.col("status").is_in(["heartbeat", "ended"])).select(
        "venue", *also, event_time=pl.col("event_time").dt.epoch("us"), ended=pl.col("status") == "ended"
    )
    return beats.join(of_venue, on="venue", maintain_order="left").select(*BEATS, *also)
