"""Trust: feeds, lag, gaps, completeness by market and hour, and what each served table holds."""

from __future__ import annotations

import polars as pl
import streamlit as st

from crypto_intel.serving.dashboard import charts, data
from crypto_intel.serving.queries import markets, trust
from crypto_intel.serving.queries.query import Query

_GOOD = ["complete", "repaired", "quiet"]


def page() -> None:
    """The page."""
    st.title("Can this data be trusted?")
    st.fragment(data.shown(_now), run_every=data.settings().dashboard.refresh_s)()
    _completeness()
    _gaps()
    st.subheader("What is served")
    st.dataframe(data.read(trust.counts()), hide_index=True, key="counts")


def _now() -> None:
    feeds, streams, gaps = (data.read(query) for query in (trust.feeds(), trust.streams(), _open_gaps()))
    hours = data.read(trust.completeness())
    good, bars = (int(hours.select(pl.sum_horizontal(pl.sum(*names))).item()) for names in (_GOOD, ["bars"]))
    one, two, three, four = st.columns(4)
    one.metric("Markets", feeds.height)
    two.metric("Minutes complete, last day", f"{100 * good / bars:.2f} %" if bars else "none yet")
    three.metric("Open gaps", gaps.height, help="Trade ids that are missing and may still come.")
    lag = streams.select(pl.max("lag_records")).item()
    four.metric("Records not read yet", lag or 0, help="In Kafka, behind the slowest stream.")
    st.subheader("Markets")
    if feeds.is_empty():
        st.info("No market has traded yet.")
    else:
        now = data.platform_now(data.read(markets.prices()))
        ages = [data.age(moment, now) for moment in feeds["event_time"]]
        st.dataframe(feeds.with_columns(newest_trade=pl.Series(ages, dtype=pl.String)), hide_index=True, key="feeds")
    st.subheader("Sources")
    sources = data.read(trust.sources())
    if sources.is_empty():
        st.info("No source has told of itself yet.")
    else:
        st.dataframe(sources, hide_index=True, key="sources")
    st.subheader("Streams")
    if streams.is_empty():
        st.info("No streaming query has reported yet.")
    else:
        st.dataframe(streams, hide_index=True, key="streams")


def _open_gaps() -> Query:
    return trust.gaps(trust.GapFilter(state="open", limit=1_000))


def _completeness() -> None:
    st.subheader("Completeness by market and hour")
    hours = data.read(trust.completeness())
    if hours.is_empty():
        st.info("No bar has been written yet.")
        return
    st.plotly_chart(charts.completeness(hours), key="completeness")
    st.caption(
        "Share of the hour's 60 minutes that are complete, repaired or quiet. First and current hours are short."
    )


def _gaps() -> None:
    st.subheader("Ledger of gaps")
    found = data.read(trust.gaps(trust.GapFilter(limit=500)))
    if found.is_empty():
        st.success("No trade id has been missing.", icon=":material/check_circle:")
        return
    st.dataframe(found, hide_index=True, key="gaps")
