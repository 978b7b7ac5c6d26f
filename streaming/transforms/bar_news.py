"""Join of 1-minute bars with the news about their base asset, within five minutes of the bar's end.

Bars are joined, not trades: a million trades with 200 articles gave six million rows. Watermarks on both sides bound
the state; news heartbeats keep the news side's clock moving while no news comes, and are dropped by the join's key,
never by a filter next to the watermark (Spark pushes such a filter below it, and time stands still).
"""

from __future__ import annotations

import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crypto_intel.contracts.events import HEARTBEAT_KEY
from crypto_intel.contracts.settings import NewsClock
from crypto_intel.contracts.tables import SILVER_BAR_NEWS
from streaming.transforms.join_sides import BARS_SCHEMA, NEWS_SCHEMA, names

JOIN_WITHIN_S = 300
"""An article counts for a bar when its time is at most this long before or after the bar's end."""

BARS_DELAY = "2 minutes"
"""Feed time by which one market's bars may trail another's."""


def news_by_asset(news: pl.LazyFrame, feed_status: pl.LazyFrame, topic: str) -> pl.DataFrame:
    """Rows of bronze.news, and the heartbeats of the news topic among bronze.feed_status, as rows of NEWS_SCHEMA."""
    articles = (
        news.explode("symbols")
        .filter(pl.col("symbols").is_not_null())
        .select(
            *("article_id", "title", "source", "published_at", "first_seen_at", "sentiment"),
            asset="symbols",
            cluster_id=pl.coalesce("cluster_id", "article_id"),
        )
    )
    is_beat = (pl.col("kafka_topic") == topic) & pl.col("status").is_in(["heartbeat", "ended"])
    beat_id = pl.format("{}-{}-{}", pl.lit(HEARTBEAT_KEY), "kafka_partition", "kafka_offset")
    beats = feed_status.filter(is_beat).select(
        asset=pl.lit(HEARTBEAT_KEY),
        article_id=beat_id,
        cluster_id=beat_id,
        title=pl.lit(""),
        source=pl.lit(""),
        published_at="event_time",
        first_seen_at="received_at",
        sentiment=pl.lit(None, pl.Float64),
    )
    return pl.concat([frame.select(names(NEWS_SCHEMA)) for frame in (articles, beats)]).collect()


def bars_by_base(bars: pl.LazyFrame) -> pl.DataFrame:
    """Rows of silver.bars_1m as rows of BARS_SCHEMA."""
    base = pl.col("symbol").str.split("-").list.first()
    return bars.with_columns(base=base).select(names(BARS_SCHEMA)).collect()


def once(news: DataFrame, *, delay_minutes: int, clock: NewsClock = "published") -> DataFrame:
    """News (NEWS_SCHEMA) with a watermark on its clock; of near-duplicates about an asset the first counts."""
    return news.withWatermark(f"{clock}_at", f"{delay_minutes} minutes").dropDuplicatesWithinWatermark(
        ["asset", "cluster_id"]
    )


def join(bars: DataFrame, news: DataFrame, *, clock: NewsClock = "published") -> DataFrame:
    """Pairs of bars (BARS_SCHEMA) and news (`once`, of the same clock): rows of silver.bar_news.

    Both ends of the five minutes count. An article about several assets pairs with the bars of each.

    Args:
        clock: whether the time of an article is when it was published, or when it was first seen here.
    """
    at = f"{clock}_at"
    left = bars.withWatermark("window_end", BARS_DELAY)
    near = (
        f"base = asset AND {at} >= window_end - INTERVAL {JOIN_WITHIN_S} SECONDS "
        f"AND {at} <= window_end + INTERVAL {JOIN_WITHIN_S} SECONDS"
    )
    after_s = (F.unix_micros("published_at") - F.unix_micros("window_end")) / F.lit(1_000_000.0)
    return (
        left.join(news, F.expr(near))
        .withColumn("published_after_s", after_s)
        .withColumn("clock", F.lit(clock))
        .withColumn("event_date", F.to_date("window_start"))
        .select(*SILVER_BAR_NEWS.column_names)
    )
