"""News: the stream of articles, the mood by asset over time, and the price around an article."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import streamlit as st

from crypto_intel.serving.dashboard import charts, data, tables
from crypto_intel.serving.queries import markets, news

_COLUMNS = ["published_at", "first_seen_at", "source", "title", "symbols", "sentiment", "url"]


def page() -> None:
    """The page."""
    st.title("News and sentiment")
    prices = data.read(markets.prices())
    assets = sorted({symbol.partition("-")[0] for symbol in prices["symbol"]})
    left, right = st.columns([1, 3])
    asset = left.selectbox("Asset", ["all", *assets], key="asset")
    words = right.text_input("Words", placeholder='bitcoin -etf "spot market"', max_chars=200, key="words")
    chosen = None if asset == "all" else asset
    wanted = news.NewsFilter(asset=chosen, words=words.replace("\x00", "").strip() or None, limit=200)
    articles = data.read(news.articles(wanted))
    if articles.is_empty():
        st.info("No article fits. Sources are asked every few minutes; with other words there may be some.")
        return
    picked = st.dataframe(
        articles.select(_COLUMNS), hide_index=True, on_select="rerun", selection_mode="single-row", key="articles",
        column_config=tables.columns_of(
            articles.select(_COLUMNS),
            url=st.column_config.LinkColumn("link", display_text="open", validate=r"^https?://"),
            title=st.column_config.TextColumn("title", width="large"),
        ),
    )  # fmt: skip
    rows = picked.selection.rows
    _reaction(articles.row(rows[0] if rows else 0, named=True))
    _mood(chosen, articles["published_at"].max())


def _reaction(article: dict[str, object]) -> None:
    st.subheader("Price around the article")
    st.text(str(article["title"]))  # plain text: it comes from outside
    around = data.read(news.reaction(str(article["article_id"])))
    if around.is_empty():
        st.info("No bar within five minutes of its publishing. Choose another article in the table.")
        return
    market = st.selectbox("Market", around["symbol"].unique().sort().to_list(), key="reaction")
    rows = around.filter(symbol=market).sort("window_start")
    first = rows["close"].drop_nulls().first()
    moved = rows.with_columns(change_pct=100 * (pl.col("close") / first - 1)) if first else rows
    if "change_pct" in moved.columns:
        st.plotly_chart(charts.reaction(moved, article["published_at"]), key="around")


def _mood(asset: str | None, newest: object) -> None:
    st.subheader("Sentiment by the hour")
    if not isinstance(newest, datetime):
        return
    end = newest + timedelta(hours=1)
    hours = data.read(news.sentiment_by_hour(asset, end - timedelta(days=7), end))
    if hours["sentiment_mean"].null_count() == hours.height:
        st.info("No mood yet: few sources tell one, and the others are scored when their hour has closed.")
        return
    st.plotly_chart(charts.lines(hours, "hour", ["sentiment_mean"], second="articles", height=300), key="mood")
