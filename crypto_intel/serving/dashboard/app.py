"""The frame around the pages: navigation, and what must be known of the data before any number is read."""

from __future__ import annotations

import streamlit as st

from crypto_intel.serving.dashboard import data
from crypto_intel.serving.dashboard.views import alerts, macro, market, movers, news, trust

_SOURCES = {
    "sim": ("SIMULATED MARKET: no price here is real.", ":material/science:"),
    "replay": ("REPLAY of a recording: times are the recording's.", ":material/history:"),
}

st.set_page_config("Crypto Intel", ":material/candlestick_chart:", layout="wide")
_VIEWS = (
    ("Market", market, "candlestick_chart"),
    ("Movers", movers, "trending_up"),
    ("News", news, "newspaper"),
    ("Alerts", alerts, "notifications"),
    ("Macro", macro, "account_balance"),
    ("Trust", trust, "verified"),
)
chosen = st.navigation(
    [
        st.Page(
            data.shown(view.page),
            title=title,
            icon=f":material/{icon}:",
            url_path=title.lower(),
            default=title == "Market",
        )
        for title, view, icon in _VIEWS
    ]
)
source = data.settings().source
if source in _SOURCES:
    text, icon = _SOURCES[source]
    st.sidebar.info(text, icon=icon)
chosen.run()
