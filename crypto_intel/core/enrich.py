"""market_enriched: a bar, the news around its end, and macro values as they were known then.

Pure: the hour's frames in, rows of gold.market_enriched out. The same inputs give the same rows; a row that did not
change keeps its revision and its known_at, so that a repeated run changes nothing.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crypto_intel.contracts.settings import NewsClock
from crypto_intel.contracts.tables import GOLD_MARKET_ENRICHED, MACRO_SERIES
from crypto_intel.core.frames import UTC_US, conform
from crypto_intel.core.macro import macro_values

NEWS_WINDOW_S = 300
"""An article belongs to a bar when its time is at most this long before or after the bar's end."""

_KEY = list(GOLD_MARKET_ENRICHED.key)
_NOT_CONTENT = {"revision", "known_at"}


def enrich(
    bars: pl.DataFrame,
    news: pl.DataFrame,
    observations: pl.DataFrame,
    *,
    known_at: datetime,
    clock: NewsClock = "published",
    before: pl.DataFrame | None = None,
    is_final: bool = True,
) -> pl.DataFrame:
    """Rows of gold.market_enriched, sorted by market and time.

    Args:
        bars: rows of gold.bars_1m.
        news: rows of bronze.news around them, repeated ones too; `sentiment` (-1..1) is used where it is there.
        observations: rows of macro.fred_observations reaching two years back.
        known_at: platform clock of this computation.
        clock: which of an article's times counts: when it was published, or first seen here.
        before: rows that the table holds for these bars, if any: what changed gets the next revision.
        is_final: the bars are of a closed hour.
    """
    rows = (
        bars.join(_news_by_bar(bars, _distinct(news), f"{clock}_at"), on=_KEY, how="left")
        .with_columns(
            pl.col("news_count", "news_before_count", "news_after_count").fill_null(0),
            pl.col("article_ids").fill_null(pl.lit([], dtype=pl.List(pl.String))),
        )
        .join(_macro_by_day(bars, observations), left_on=pl.col("window_end").dt.date(), right_on="day", how="left")
        .with_columns(
            is_final=pl.lit(is_final),
            revision=pl.lit(1, pl.Int64),
            known_at=pl.lit(known_at.replace(tzinfo=None)).cast(UTC_US),
        )
    )
    return revise(conform(rows, GOLD_MARKET_ENRICHED), before).sort(_KEY)


def revise(rows: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with their revisions: unchanged ones keep theirs and their known_at, changed ones get the next."""
    if before is None or before.is_empty():
        return rows
    old = before.select(*_KEY, old_content=_content(before), old_revision="revision", old_known_at="known_at")
    is_same = pl.col("content") == pl.col("old_content")
    return (
        rows.with_columns(content=_content(rows))
        .join(old, on=_KEY, how="left")
        .with_columns(
            revision=pl.when(is_same).then("old_revision").otherwise(pl.col("old_revision").fill_null(0) + 1),
            known_at=pl.when(is_same).then("old_known_at").otherwise("known_at"),
        )
        .select(rows.columns)
    )


def _content(rows: pl.DataFrame) -> pl.Series:
    columns = [name for name in rows.columns if name not in _NOT_CONTENT and name != "article_ids"]
    return rows.select(pl.struct(*columns, pl.col("article_ids").list.join("\n")).hash()).to_series()


def _distinct(news: pl.DataFrame) -> pl.DataFrame:
    # One row per article: the sighting that made it known.
    rows = news if "sentiment" in news.columns else news.with_columns(sentiment=pl.lit(None, pl.Float64))
    return rows.sort("first_seen_at", "kafka_offset").unique("article_id", keep="first", maintain_order=True)


def _news_by_bar(bars: pl.DataFrame, articles: pl.DataFrame, at: str) -> pl.DataFrame:
    # Of the articles that tell one story about an asset the first one counts, as on the stream.
    story = pl.coalesce("cluster_id", "article_id")
    about = (
        articles.select("article_id", at, "sentiment", story=story, base="symbols")
        .explode("base")
        .unique(["base", "story"], keep="first", maintain_order=True)
    )
    distance_us = (pl.col(at) - pl.col("window_end")).dt.total_microseconds()
    return (
        bars.select(*_KEY, "window_end", base=pl.col("symbol").str.split("-").list.first())
        .join(about, on="base")
        .filter(distance_us.abs() <= NEWS_WINDOW_S * 1_000_000)
        .group_by(_KEY)
        .agg(
            news_count=pl.len().cast(pl.Int64),
            news_before_count=(pl.col(at) <= pl.col("window_end")).sum().cast(pl.Int64),
            news_after_count=(pl.col(at) > pl.col("window_end")).sum().cast(pl.Int64),
            sentiment_mean=pl.col("sentiment").mean(),
            article_ids=pl.col("article_id").sort(),
        )
    )


def _macro_by_day(bars: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    days = bars["window_end"].dt.date().unique().sort().to_list()
    schema = {"day": pl.Date, **dict.fromkeys(MACRO_SERIES, pl.Float64)}
    return pl.DataFrame([{"day": day, **macro_values(observations, day)} for day in days], schema=schema)
