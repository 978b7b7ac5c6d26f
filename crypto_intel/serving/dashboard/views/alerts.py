"""Alerts: what fired, its life and evidence, strong moves, and what another threshold would have raised."""

from __future__ import annotations

import os

import polars as pl
import streamlit as st

from crypto_intel.serving.dashboard import charts, data, tables
from crypto_intel.serving.queries import alerts, bars, markets

_COLUMNS = ["raised_at", "severity", "rule", "venue", "symbol", "value", "threshold", "unit", "message", "state",
            "resolved_at", "verdict", "coverage_pct", "completeness", "judged_right", "judged_wrong"]  # fmt: skip
STRONG_PCT = 5.0


def page() -> None:
    """The page."""
    st.title("Alerts")
    found = data.read(alerts.alerts(alerts.AlertFilter(limit=500)))
    if found.is_empty():
        st.info("No rule has fired yet.")
    else:
        picked = st.dataframe(
            found.select(_COLUMNS),
            hide_index=True,
            on_select="rerun",
            selection_mode="single-row",
            key="alerts",
            column_config=tables.columns_of(found.select(_COLUMNS)),
        )
        rows = picked.selection.rows
        _detail(found.row(rows[0] if rows else 0, named=True))
    _strong_moves()
    _preview()


def _detail(alert: dict[str, object]) -> None:
    st.subheader("Why it fired")
    st.text(f"{alert['message']}  ({alert['alert_id']})")
    evidence = data.read(alerts.bars_of(str(alert["alert_id"])))
    left, right = st.columns([3, 2])
    if evidence.is_empty():
        left.info("Its minutes are not written yet; bars follow a live alert within seconds.")
    else:
        tables.show(evidence.drop("venue", "symbol"), "evidence", place=left)
    if alert.get("evidence"):
        left.json(str(alert["evidence"]), expanded=1)
    acts = data.read(alerts.actions(str(alert["alert_id"])))
    if acts.height:
        tables.show(acts, "acts", place=right)
    else:
        right.info("Nobody has said anything yet.")
    page = os.environ.get("CRYPTO_INTEL_DAGSTER_URL")
    if page:
        right.link_button("The alert in Dagster", f"{page}/assets/alerts/alert")


def _strong_moves() -> None:
    st.subheader("Strong rises and falls")
    least = st.slider("At least, % within 24 hours", 0.5, 20.0, STRONG_PCT, 0.5, key="strong")
    prices = data.read(markets.prices()).drop_nulls("change_24h_pct")
    strong = prices.filter(pl.col("change_24h_pct").abs() >= least).sort("change_24h_pct", descending=True)
    if strong.is_empty():
        st.info(f"No market moved by {least:g} % or more in the last 24 hours.")
        return
    rising, falling = st.columns(2)
    columns = ["venue", "symbol", "price", "change_24h_pct", "event_time"]
    for place, name, rows in (
        (rising, "Rising", strong.filter(pl.col("change_24h_pct") > 0)),
        (falling, "Falling", strong.filter(pl.col("change_24h_pct") < 0).reverse()),
    ):
        place.markdown(f"**{name}**: {rows.height}")
        tables.show(rows.select(columns), name.lower(), place=place)


def _preview() -> None:
    st.subheader("What would another threshold raise?")
    names = data.read(markets.symbols())["symbol"].unique().sort().to_list()
    if not names:
        return
    left, right = st.columns([1, 3])
    symbol = left.selectbox("Market", names, key="preview")
    threshold = right.slider("Move within 5 minutes, %", 0.05, 5.0, 0.6, 0.05, key="threshold")
    history = data.read(bars.bars("5m", bars.Range(str(symbol), limit=2_016))).drop_nulls("return_pct")
    hits = history.filter(pl.col("return_pct").abs() >= threshold)
    right.markdown(
        f"**{hits.height}** of the last {history.height} windows of 5 minutes moved by {threshold:.2f} % or more."
    )
    if history.is_empty():
        return
    st.plotly_chart(charts.moves(history, threshold), key="moves")
    if hits.height:
        columns = ["window_start", "venue", "close", "return_pct", "coverage_pct", "completeness"]
        tables.show(hits.select(columns).head(100), "hits")
    st.caption(
        "By bars as they streamed. `crypto-intel rules test` plays every record again and says when a rule would "
        "have fired by what was known at each moment."
    )
