"""Movers: who rose and fell most, the whole ranking, changes by the hour and volume by the day of one market."""

from __future__ import annotations

import polars as pl
import streamlit as st

from crypto_intel.serving.dashboard import charts, data, tables
from crypto_intel.serving.queries import bars, markets


def page() -> None:
    """The page."""
    st.title("Movers")
    ranking = data.read(markets.ranking("change_24h_pct", limit=1_000))
    if ranking.is_empty():
        st.info("No market has traded yet.")
        return
    ranking = _by_what_there_is(ranking)
    _top(ranking)
    st.subheader("Ranking")
    tables.show(ranking.drop("event_time"), "ranking")
    symbol = st.selectbox("Market", ranking["symbol"].unique().sort().to_list(), key="mover")
    _hours_and_days(str(symbol))


def _by_what_there_is(ranking: pl.DataFrame) -> pl.DataFrame:
    # A new platform has no price of a day before, and at first none of an hour before.
    if ranking["change_24h_pct"].null_count() < ranking.height:
        return ranking
    if ranking["change_1h_pct"].null_count() < ranking.height:
        st.info("There is no price of a day before yet: the ranking is by the change of an hour.")
        return data.read(markets.ranking("change_1h_pct", limit=1_000))
    st.info("There is no price of an hour before yet: the ranking is by volume.")
    return data.read(markets.ranking("volume_24h_quote", limit=1_000))


def _top(ranking: pl.DataFrame) -> None:
    for column, row in zip(st.columns(5), ranking.head(5).to_dicts(), strict=False):
        change = row["change_24h_pct"] if row["change_24h_pct"] is not None else row["change_1h_pct"]
        delta = f"{change:+.2f} %" if change is not None else None
        column.metric(f"{row['rank']}. {row['symbol']}", f"{row['price']:,.6g}", delta, border=True)


def _hours_and_days(symbol: str) -> None:
    hours = data.read(bars.bars("1h", bars.Range(symbol, limit=72)))
    days = data.read(bars.bars("1d", bars.Range(symbol, limit=31)))
    if hours.is_empty():
        st.info(f"No bars of {symbol} yet.")
        return
    left, right = st.columns(2)
    left.subheader("Change by the hour, %")
    changes = hours.drop_nulls("return_pct")
    if changes.is_empty():
        left.info("A change needs two hours of bars.")
    else:
        left.plotly_chart(
            charts.bars_by(changes.sort("window_start"), "window_start", "return_pct", label="%b %d %H:00"),
            key="hourly",
        )
    right.subheader("Volume by the day, in quote")
    daily = days.group_by("window_start").agg(pl.col("volume_quote").sum()).sort("window_start")
    right.plotly_chart(charts.bars_by(daily, "window_start", "volume_quote", label="%b %d"), key="daily")
