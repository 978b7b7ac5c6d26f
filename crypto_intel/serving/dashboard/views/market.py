"""Market: live prices, and one market's candles with volume, indicators, news and what is incomplete."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import streamlit as st

from crypto_intel.core.indicators import market_indicators
from crypto_intel.serving.dashboard import charts, data
from crypto_intel.serving.queries import bars, markets, news
from crypto_intel.serving.queries.bars import Interval
from crypto_intel.serving.queries.query import MAX_ROWS

LIVE_S = 5
_SPANS = {
    "6 hours": timedelta(hours=6),
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
}
_INTERVALS: tuple[tuple[timedelta, Interval], ...] = ((timedelta(days=1), "1m"), (timedelta(days=8), "5m"))
"""The shortest bars that fit a span: some 2,000 candles are what a chart can show."""

PRICES_SHOWN = 8


def page() -> None:
    """The page."""
    st.title("Market")
    known = data.read(markets.prices())
    if known.is_empty():
        st.info("No market has traded yet. The first prices come half a minute after the start.")
        return
    _prices()
    names = [f"{venue} {symbol}" for venue, symbol in known.select("venue", "symbol").rows()]
    left, right = st.columns([2, 3])
    first = next((index for index, name in enumerate(names) if name.endswith(" BTC-USDT")), 0)
    chosen = left.selectbox("Market", names, index=first, key="market")
    span = right.segmented_control("Range", list(_SPANS), default="7 days", key="span") or "7 days"
    venue, symbol = str(chosen).split(" ")
    st.fragment(data.shown(_chart), run_every=data.settings().dashboard.refresh_s)(venue, symbol, span)


@st.fragment(run_every=LIVE_S)
@data.shown
def _prices() -> None:
    frame = data.read(markets.prices())
    now = data.platform_now(frame)
    rows = frame.head(PRICES_SHOWN).to_dicts()
    for group in (rows[:4], rows[4:]):
        for column, row in zip(st.columns(4), group, strict=False):
            column.metric(
                f"{row['symbol']} · {row['venue']}",
                f"{row['price']:,.6g}" if row["price"] < 1000 else f"{row['price']:,.2f}",
                f"{_pct(row['change_24h_pct'])} in 24 h" if row["change_24h_pct"] is not None else None,
                help="The newest trade; its change within 1 h and 24 h, and how far it is from its 5-minute mean.",
                border=True,
            )
            column.caption(
                f"1 h {_pct(row['change_1h_pct'])} · 24 h {_pct(row['change_24h_pct'])}  \n"
                f"{_against_mean(row['price'], row['price_5m_mean'])}{data.age(row['event_time'], now)}"
            )


def _chart(venue: str, symbol: str, span: str) -> None:
    end = data.platform_now(data.read(markets.prices())) + timedelta(minutes=1)
    length = min(_SPANS[span], _known(venue, symbol, end))
    interval: Interval = next((bar for longest, bar in _INTERVALS if length <= longest), "1h")
    wanted = bars.Range(symbol, venue, end - length, end, "asc", MAX_ROWS)
    frame = data.read(bars.bars(interval, wanted))
    if frame.drop_nulls("close").is_empty():
        st.info(f"No bars of {symbol} at {venue} in this range yet. A minute's bar comes seconds after its end.")
        return
    shown = market_indicators(frame.drop_nulls("close"))
    asset = symbol.partition("-")[0]
    articles = data.read(news.articles(news.NewsFilter(asset=asset, start=end - length, order="asc", limit=500)))
    st.plotly_chart(charts.market(shown, articles), key="candles")
    bad = shown.filter(pl.col("completeness").is_in(["partial", "unrecoverable"])).height
    last = shown.row(-1, named=True)
    st.caption(
        f"{_short(shown.height)}{shown.height} bars of {interval}; {bad} incomplete (shaded; the mark says why). "
        f"Last close {last['close']:,.8g} at {last['window_end']:%Y-%m-%d %H:%M} UTC, "
        f"coverage {last['coverage_pct']:.1f} %."
    )


def _short(height: int) -> str:
    needed = {"Bollinger bands": 20, "RSI": 15, "MACD": 34}
    missing = [f"{name} ({bars})" for name, bars in needed.items() if height < bars]
    return f"Too few bars yet for {', '.join(missing)}. " if missing else ""


def _known(venue: str, symbol: str, end: datetime) -> timedelta:
    # Since when there are bars of it: the first hours of a new market are shown by the minute, whatever the span.
    first = data.read(markets.symbols()).filter(venue=venue, symbol=symbol)["first_bar"].max()
    return end - first if isinstance(first, datetime) else timedelta(days=1)


def _pct(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.2f} %"


def _against_mean(price: float, mean: float | None) -> str:
    return "" if not mean else f"{100 * (price / mean - 1):+.3f} % to 5 min mean · "
