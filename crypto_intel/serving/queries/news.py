"""News: articles by asset, words, mood and time; and what the price did around an article."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crypto_intel.contracts.serving import ARTICLES, BAR_NEWS, BARS_1M
from crypto_intel.serving.queries.query import Order, Query, Select, column, pick

_WORDS = "to_tsvector('simple', title || ' ' || summary)"  # the index's own expression
SENTIMENT_COLUMNS = (
    column("hour", "timestamp", "Start of the hour of publishing."),
    column("articles", "bigint", "Articles about the asset."),
    column("sentiment_mean", "double", "Mean of those whose source tells a mood.", nullable=True),
)
REACTION_COLUMNS = (
    *pick(BARS_1M.columns, "venue", "symbol", "window_start", "window_end", "close", "volume_quote"),
    *pick(BAR_NEWS.columns, "published_after_s"),
)


@dataclass(frozen=True)
class NewsFilter:
    """Which articles: of an asset, with these words, of a mood, published in [start, end)."""

    asset: str | None = None
    words: str | None = None
    sentiment_min: float | None = None
    sentiment_max: float | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "desc"
    limit: int = 100
    cursor: str | None = None


def articles(wanted: NewsFilter) -> Query:
    """Articles, newest first unless asked otherwise. Words are searched as a search engine takes them."""
    select = Select("news", ARTICLES.columns, "public.articles")
    select = select.filter_given("symbols @> ARRAY[%(asset)s::text]", asset=wanted.asset)
    select = select.filter_given(f"{_WORDS} @@ websearch_to_tsquery('simple', %(words)s)", words=wanted.words)
    select = select.filter_given("sentiment >= %(least)s", least=wanted.sentiment_min)
    select = select.filter_given("sentiment <= %(most)s", most=wanted.sentiment_max)
    select = select.filter_given("published_at >= %(start)s", start=wanted.start)
    select = select.filter_given("published_at < %(end)s", end=wanted.end)
    return select.keyset(("published_at", "article_id"), order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)


def sentiment_by_hour(asset: str | None, start: datetime, end: datetime) -> Query:
    """Mood by hour of publishing, of one asset or of all; at most 31 days."""
    statement = """
      SELECT date_trunc('hour', published_at), count(*), avg(sentiment)
      FROM public.articles
      WHERE published_at >= greatest(%(start)s, %(end)s - interval '31 days') AND published_at < %(end)s
        AND (%(asset)s::text IS NULL OR symbols @> ARRAY[%(asset)s::text])
      GROUP BY 1 ORDER BY 1 LIMIT 1000"""
    return Query("sentiment", statement, {"asset": asset, "start": start, "end": end}, SENTIMENT_COLUMNS)


def reaction(article_id: str, limit: int = 200) -> Query:
    """1-minute bars within five minutes of an article about their base asset."""
    statement = """
      SELECT b.venue, b.symbol, b.window_start, b.window_end, b.close, b.volume_quote, n.published_after_s
      FROM public.bar_news n JOIN public.bars_1m b USING (venue, symbol, window_start)
      WHERE n.article_id = %(article_id)s ORDER BY b.symbol, b.venue, b.window_start LIMIT %(limit)s"""
    return Query("reaction", statement, {"article_id": article_id, "limit": limit}, REACTION_COLUMNS)
