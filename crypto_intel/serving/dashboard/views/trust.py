"""Trust: feeds, lag, gaps, completeness by market and hour, checks, what each sink holds, the newest trades."""

from __future__ import annotations

import polars as pl
import streamlit as st

from crypto_intel.serving.dashboard import charts, data, elsewhere, tables
from crypto_intel.serving.queries import markets, trust
from crypto_intel.serving.queries.query import Query

_GOOD = ["complete", "repaired", "quiet"]


def page() -> None:
    """The page."""
    st.title("Can this data be trusted?")
    st.fragment(data.shown(_now), run_every=data.settings().dashboard.refresh_s)()
    _completeness()
    _checks()
    _gaps()
    left, right = st.columns([2, 3])
    with left:
        _held()
    with right:
        st.fragment(data.shown(_newest_trades), run_every=data.settings().dashboard.refresh_s)()


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
        tables.show(feeds.insert_column(2, pl.Series("newest_trade", ages, dtype=pl.String)), "feeds")
    st.subheader("Sources")
    sources = data.read(trust.sources())
    if sources.is_empty():
        st.info("No source has told of itself yet.")
    else:
        tables.show(sources, "sources")
    st.subheader("Streams")
    if streams.is_empty():
        st.info("No streaming query has reported yet.")
    else:
        tables.show(streams, "streams")


def _open_gaps() -> Query:
    return trust.gaps(trust.GapFilter(state="open", limit=1_000))


def _completeness() -> None:
    st.subheader("Completeness by market and hour")
    hours = data.read(trust.completeness())
    if hours.is_empty():
        st.info("No bar has been written yet.")
        return
    st.plotly_chart(charts.completeness(hours, _spans()), key="completeness")
    st.caption(
        "Percent of an hour's minutes that are complete, repaired or quiet; of a market's first and newest hour, of "
        "the minutes so far."
    )


def _spans() -> pl.DataFrame:
    return data.read(markets.symbols()).select("venue", "symbol", "first_bar", "last_bar")


def _checks() -> None:
    st.subheader("Checks")
    found = elsewhere.checks()
    if found is None:
        st.info("Dagster does not answer here; it runs the checks, and shows them too.")
        return
    if found.is_empty():
        st.info("No check has run yet. The first run when an hour has closed, minutes after its end.")
        return
    failed, newest = found.filter(~pl.col("passed")), max(found["judged_at"].to_list())
    same = found.filter(check="stream_equals_batch")
    one, two, three = st.columns(3)
    one.metric("Checks passed", f"{found.height - failed.height} of {found.height}")
    two.metric("Stream = batch", _said(same), help="Bars that streamed against the same bars made of the raw trades.")
    three.metric("Newest verdict", f"{newest:%H:%M:%S} UTC", help="By the clock on the wall.")
    tables.show(found, "checks", passed=st.column_config.CheckboxColumn("passed"))


def _said(verdicts: pl.DataFrame) -> str:
    return "not judged yet" if verdicts.is_empty() else "equal" if verdicts["passed"].all() else "differs"


def _held() -> None:
    st.subheader("What each sink holds")
    served = data.read(trust.counts()).select(
        sink=pl.lit("postgres"), name=pl.col("name"), rows=pl.col("row_estimate").cast(pl.Int64)
    )
    tables.show(pl.concat([elsewhere.held(), served]), "counts")
    st.caption("Lake: by the tables' logs. PostgreSQL: its own estimate, exact after an ANALYZE.")


def _newest_trades() -> None:
    st.subheader("Newest trades")
    found = elsewhere.newest_trades()
    if found is None:
        st.info("The lake holds none yet, or cannot be read from here.")
        return
    tables.show(found.with_columns(pl.col("price", "quantity").cast(pl.Float64)), "trades")


def _gaps() -> None:
    st.subheader("Ledger of gaps")
    found = data.read(trust.gaps(trust.GapFilter(limit=500)))
    if found.is_empty():
        st.success("No trade id has been missing.", icon=":material/check_circle:")
        return
    tables.show(found, "gaps")
