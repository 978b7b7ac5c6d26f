"""Macro: a series as it was known on a day, against a market."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import streamlit as st

from crypto_intel.serving.dashboard import charts, data
from crypto_intel.serving.queries import bars, macro, markets

_FIRST = "CPIAUCSL"
"""Revised often, and watched by all."""


def page() -> None:
    """The page."""
    st.title("Macro")
    known = data.read(macro.series())
    if known.is_empty():
        st.info("No series is here yet. Dagster loads them some minutes after the start; live data needs a FRED key.")
        return
    prices = data.read(markets.prices())
    today = data.platform_now(prices).date()
    left, right = st.columns([1, 3])
    names = known["series_id"].to_list()
    first = names.index(_FIRST) if _FIRST in names else 0
    series = str(left.selectbox("Series", names, index=first, key="series"))
    as_of = right.slider("As it could be used on", today - timedelta(days=730), today, today, key="as_of")
    values = data.read(macro.observations(series, as_of=as_of, order="desc", limit=750)).drop_nulls("value")
    if values.is_empty():
        st.info(f"Nothing of {series} was released before {as_of}.")
        return
    newest = values.row(0, named=True)
    st.metric(
        f"{series}, newest value known on {as_of}",
        f"{newest['value']:,.4g}",
        help=f"Of {newest['observation_date']}, released {newest['realtime_start']}: it counts from the day after.",
    )
    values = values.sort("observation_date")
    st.plotly_chart(charts.lines(values, "observation_date", ["value"]), key="series_chart")
    later = data.read(macro.observations(series, order="desc", limit=750))
    revised = later.join(values, on="observation_date", suffix="_then").filter(pl.col("value") != pl.col("value_then"))
    st.caption(f"{revised.height} of these values have been revised since.")
    _against_market(series, values, prices)


def _against_market(series: str, values: pl.DataFrame, prices: pl.DataFrame) -> None:
    names = prices["symbol"].unique().sort().to_list()
    if not names:
        return
    first = next((index for index, name in enumerate(names) if name.startswith("BTC-")), 0)
    symbol = str(st.selectbox("Against", names, index=first, key="against"))
    daily = data.read(bars.bars("1d", bars.Range(symbol, limit=366)))
    days = daily.group_by(pl.col("window_start").dt.date().alias("day")).agg(pl.col("close").last()).sort("day")
    both = days.join_asof(values, left_on="day", right_on="observation_date", strategy="backward")
    both = both.rename({"close": symbol, "value": series})
    st.plotly_chart(charts.lines(both, "day", [symbol], second=series), key="against_chart")
    if days.height < 2:
        st.caption(f"{symbol} has {days.height} day of bars so far; a line needs two.")
