"""Articles of an hour: from every record of Kafka to one row per article, with story, mood and assets.

An article belongs to the hour in which it was first seen, so that an article that comes late changes no hour that is
closed, and a reader of the past finds it where it could have been known.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from crypto_intel.contracts.derived import SILVER_NEWS
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.sentiment import score

PUBLISHED_BACK = timedelta(days=30)
"""How far before its first sight an article may have been published: older ones are archives, not news."""


def distinct_articles(records: pl.LazyFrame, hour: datetime) -> pl.DataFrame:
    """One row per article that was first seen within the hour: columns of silver.news, sorted by first sight.

    Args:
        records: rows of bronze.news; an article that was seen before the hour, within PUBLISHED_BACK, is left out.
        hour: start of the UTC hour.
    """
    end = hour + HOUR
    first, last = (hour - PUBLISHED_BACK).date(), (end + HOUR).date()
    rows = (
        records.filter(pl.col("event_date").is_between(first, last), pl.col("first_seen_at") < end)
        .sort("first_seen_at", "kafka_time", "kafka_partition", "kafka_offset")
        .unique("article_id", keep="first", maintain_order=True)
        .filter(pl.col("first_seen_at") >= hour)
        .collect()
    )
    return conform(scored(rows).with_columns(event_hour=pl.lit(event_hour(hour))), SILVER_NEWS)


def scored(articles: pl.DataFrame) -> pl.DataFrame:
    """Articles with their story, `sentiment` of ours and `sentiment_told` by the source.

    Args:
        articles: columns of bronze.news, one row per article.
    """
    story = pl.col("cluster_id").fill_null(pl.col("article_id"))
    moods = [_mood(*row) for row in articles.select("title", "summary", "language").iter_rows()]
    return articles.with_columns(
        cluster_id=story,
        is_first=story == pl.col("article_id"),
        symbols=pl.col("symbols").list.unique().list.sort(),
        sentiment_told=pl.col("sentiment"),
        sentiment=pl.Series(moods, dtype=pl.Float64),
    )


def with_moods(news: pl.DataFrame) -> pl.DataFrame:
    """Rows of bronze.news whose `sentiment` is what the source told, or else ours: never one more guess than needed."""
    rows = scored(news)
    return news.with_columns(sentiment=pl.coalesce(rows["sentiment_told"], rows["sentiment"]))


def _mood(title: str, summary: str, language: str | None) -> float | None:
    # The rules know English words; of a text in an unknown language they are asked all the same.
    if language not in {"en", None}:
        return None
    return score(f"{title}. {summary}" if summary else title)
