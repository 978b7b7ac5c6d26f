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
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, SILVER_BAR_NEWS
from streaming.transforms.decode import Decoded

JOIN_WITHIN_S = 300
"""An article counts for a bar when it was published at most this long before or after the bar's end."""

BARS_DELAY = "2 minutes"
"""Feed time by which one market's bars may trail another's."""


NEWS_SCHEMA = (
    "asset string, article_id string, cluster_id string, title string, source string, published_at timestamp, "
    "first_seen_at timestamp, sentiment double"
)
"""A row for each article and asset, and for each heartbeat one of the asset HEARTBEAT_KEY."""


def news_by_asset(decoded: Decoded, records: str) -> pl.DataFrame:
    """Decoded records of a partition of the news topic as rows of NEWS_SCHEMA.

    Args:
        records: a name of these records, which makes the ids of heartbeats unique.
    """
    articles = decoded.bronze.get(BRONZE_NEWS)
    beats = decoded.bronze.get(BRONZE_FEED_STATUS)
    parts = []
    if articles is not None:
        parts.append(
            articles.explode("symbols")
            .filter(pl.col("symbols").is_not_null())
            .select(
                "article_id",
                "title",
                "source",
                "published_at",
                "first_seen_at",
                asset="symbols",
                cluster_id=pl.coalesce("cluster_id", "article_id"),
                sentiment="sentiment",
            )
        )
    if beats is not None:
        beat_id = pl.format("{}-{}-{}", pl.lit(HEARTBEAT_KEY), pl.lit(records), "kafka_offset")
        parts.append(
            beats.filter(pl.col("status").is_in(["heartbeat", "ended"])).select(
                asset=pl.lit(HEARTBEAT_KEY),
                article_id=beat_id,
                cluster_id=beat_id,
                title=pl.lit(""),
                source=pl.lit(""),
                published_at="event_time",
                first_seen_at="received_at",
                sentiment=pl.lit(None, pl.Float64),
            )
        )
    names = [field.split()[0] for field in NEWS_SCHEMA.split(", ")]
    return pl.concat([part.select(names) for part in parts]) if parts else pl.DataFrame()


def once(news: DataFrame, *, delay_minutes: int) -> DataFrame:
    """News (NEWS_SCHEMA) with a watermark on published_at; of near-duplicates about an asset the first counts."""
    return news.withWatermark("published_at", f"{delay_minutes} minutes").dropDuplicatesWithinWatermark(
        ["asset", "cluster_id"]
    )


def join(bars: DataFrame, news: DataFrame) -> DataFrame:
    """Pairs of bars (contract columns) and news (`once`): rows of silver.bar_news.

    Both ends of the five minutes count. An article about several assets pairs with the bars of each.
    """
    left = bars.select(
        "venue",
        "symbol",
        "window_start",
        "window_end",
        "close",
        F.split_part("symbol", F.lit("-"), F.lit(1)).alias("base"),
    ).withWatermark("window_end", BARS_DELAY)
    near = (
        f"base = asset AND published_at >= window_end - INTERVAL {JOIN_WITHIN_S} SECONDS "
        f"AND published_at <= window_end + INTERVAL {JOIN_WITHIN_S} SECONDS"
    )
    after_s = (F.unix_micros("published_at") - F.unix_micros("window_end")) / F.lit(1_000_000.0)
    return (
        left.join(news, F.expr(near))
        .withColumn("published_after_s", after_s)
        .withColumn("event_date", F.to_date("window_start"))
        .select(*SILVER_BAR_NEWS.column_names)
    )
