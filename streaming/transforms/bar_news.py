"""Join of 1-minute bars with the news about their base asset, within five minutes of the bar's end.

Bars are joined, not trades: a million trades with 200 articles gave six million rows. Watermarks on both sides bound
the state; news heartbeats keep the news side's clock moving while no news comes, and are dropped by the join's key,
never by a filter next to the watermark (Spark pushes such a filter below it, and time stands still).
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crypto_intel.contracts.events import HEARTBEAT_KEY
from crypto_intel.contracts.tables import SILVER_BAR_NEWS

JOIN_WITHIN_S = 300
"""An article counts for a bar when it was published at most this long before or after the bar's end."""

BARS_DELAY = "2 minutes"
"""Feed time by which one market's bars may trail another's."""


def news_by_asset(decoded: DataFrame, *, delay_minutes: int) -> DataFrame:
    """Decoded news records (decode.decode) as one row per article and asset, de-duplicated, with a watermark.

    Returns:
        asset, article_id, title, source, published_at (watermarked), first_seen_at. Heartbeats come along as rows
        of the asset HEARTBEAT_KEY.
    """
    is_beat = F.col("e.kind") == "heartbeat"
    good = decoded.where(F.col("fault").isNull() & F.col("e.kind").isin("article", "heartbeat"))
    assets = F.when(is_beat, F.array(F.lit(HEARTBEAT_KEY))).otherwise(F.col("e.symbols"))
    beat_id = F.concat_ws("-", F.lit(HEARTBEAT_KEY), "partition", "offset")
    rows = good.select(
        F.explode(assets).alias("asset"),
        F.when(is_beat, beat_id).otherwise(F.col("e.article_id")).alias("article_id"),
        F.col("e.title").alias("title"),
        F.col("e.source").alias("source"),
        F.timestamp_micros(F.coalesce("e.published_at", "e.event_time")).alias("published_at"),
        F.timestamp_micros(F.coalesce("e.first_seen_at", "e.received_at")).alias("first_seen_at"),
    )
    return rows.withWatermark("published_at", f"{delay_minutes} minutes").dropDuplicatesWithinWatermark(
        ["asset", "article_id"]
    )


def join(bars: DataFrame, news: DataFrame) -> DataFrame:
    """Pairs of bars (contract columns) and news (news_by_asset): rows of silver.bar_news.

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
        .withColumn("sentiment", F.lit(None).cast("double"))
        .withColumn("event_date", F.to_date("window_start"))
        .select(*SILVER_BAR_NEWS.column_names)
    )
