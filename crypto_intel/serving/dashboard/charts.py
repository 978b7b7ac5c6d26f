"""Figures: frames in, Plotly figures out. They take light and dark from the page that shows them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

UP, DOWN, LINE, MUTED, WARN = "#16a34a", "#dc2626", "#2563eb", "#8b93a1", "#d97706"
COMPLETENESS_COLOURS = {
    "complete": "#16a34a",
    "quiet": "#60a5fa",
    "repaired": "#0d9488",
    "partial": "#d97706",
    "unrecoverable": "#dc2626",
}
_MARGIN = {"l": 10, "r": 10, "t": 30, "b": 10}
SHADED_AT_MOST = 60
"""Stretches of incomplete minutes that are shaded; more would be one grey field."""


def market(bars: pl.DataFrame, articles: pl.DataFrame) -> go.Figure:
    """Candles with Bollinger bands and news, volume, RSI and MACD; incomplete stretches are shaded with their reason.

    Args:
        bars: bars in order of time with the indicators' columns.
        articles: title, first_seen_at of news about the asset.
    """
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        row_heights=[0.52, 0.16, 0.16, 0.16],
        subplot_titles=("", "Volume", "RSI 14", "MACD 12/26/9"),
    )
    _candles(figure, bars)
    _news(figure, bars, articles)
    _below(figure, bars)
    # Drawn in the middle of its window, so that what is shaded is the window itself.
    length = (bars["window_end"] - bars["window_start"]).dt.total_milliseconds().mode()[0]
    figure.update_traces(xperiod=length, xperiodalignment="middle")
    for start, end, reason in incomplete(bars):
        figure.add_vrect(
            x0=start, x1=end, fillcolor=WARN, opacity=0.15, line_width=0, row=1, col=1,
            annotation_text="⚠", annotation_position="top left", annotation_hovertext=html.escape(reason),
        )  # fmt: skip
    figure.update_layout(
        height=820, margin=_MARGIN, hovermode="x unified", xaxis_rangeslider_visible=False, legend={"orientation": "h"}
    )
    return figure


def incomplete(bars: pl.DataFrame) -> list[tuple[object, object, str]]:
    """Stretches of bars that are partial or unrecoverable: start, end, reason of the first."""
    bad = bars.with_columns(bad=pl.col("completeness").is_in(["partial", "unrecoverable"]))
    runs = bad.with_columns(run=pl.col("bad").rle_id()).filter("bad").group_by("run", maintain_order=True)
    stretches = runs.agg(
        pl.col("window_start").first(),
        pl.col("window_end").last(),
        (pl.col("completeness") + ": " + pl.col("completeness_reason")).first().alias("reason"),
    )
    return stretches.select("window_start", "window_end", "reason").tail(SHADED_AT_MOST).rows()


def _candles(figure: go.Figure, bars: pl.DataFrame) -> None:
    x = bars["window_start"]
    figure.add_trace(
        go.Candlestick(
            x=x, open=bars["open"], high=bars["high"], low=bars["low"], close=bars["close"], name="price",
            increasing_line_color=UP, decreasing_line_color=DOWN,
        ), row=1, col=1,
    )  # fmt: skip
    for name, dash in (("bollinger_upper", "dot"), ("bollinger_middle", "solid"), ("bollinger_lower", "dot")):
        line = {"color": MUTED, "width": 1, "dash": dash}
        label = name.replace("_", " ")
        figure.add_trace(go.Scatter(x=x, y=bars[name], name=label, line=line, hoverinfo="skip"), row=1, col=1)


def _news(figure: go.Figure, bars: pl.DataFrame, articles: pl.DataFrame) -> None:
    if not (articles.height and bars.height):
        return
    seen = articles.sort("first_seen_at").join_asof(
        bars.select("window_start", "high"), left_on="first_seen_at", right_on="window_start", strategy="backward"
    )
    seen = seen.drop_nulls("high").filter(pl.col("first_seen_at") < bars["window_end"].max())
    lift = 0.03 * (float(bars["high"].max()) - float(bars["low"].min()))  # type: ignore[arg-type]
    figure.add_trace(
        go.Scatter(
            x=seen["window_start"], y=seen["high"] + lift, mode="markers", name="news first seen",
            text=[html.escape(title[:120]) for title in seen["title"]], hovertemplate="%{text}<extra></extra>",
            marker={"symbol": "triangle-down", "size": 9, "color": LINE},
        ), row=1, col=1,
    )  # fmt: skip


def _below(figure: go.Figure, bars: pl.DataFrame) -> None:
    x = bars["window_start"]
    rising = (bars["close"] >= bars["open"]).fill_null(True)
    colours = [UP if up else DOWN for up in rising]
    figure.add_trace(go.Bar(x=x, y=bars["volume_quote"], marker_color=colours, name="volume"), row=2, col=1)
    figure.add_trace(go.Scatter(x=x, y=bars["rsi_14"], line={"color": LINE, "width": 1}, name="RSI"), row=3, col=1)
    for level in (30, 70):
        figure.add_hline(y=level, line={"color": MUTED, "width": 1, "dash": "dot"}, row=3, col=1)
    figure.add_trace(go.Bar(x=x, y=bars["macd_histogram"], marker_color=MUTED, name="histogram"), row=4, col=1)
    for name, colour in (("macd", LINE), ("macd_signal", WARN)):
        line = {"color": colour, "width": 1}
        figure.add_trace(go.Scatter(x=x, y=bars[name], line=line, name=name.replace("_", " ")), row=4, col=1)
    for trace in figure.data[4:]:
        trace.showlegend = False


def completeness(hours: pl.DataFrame, known: pl.DataFrame) -> go.Figure:
    """Heat map of markets by hour: share of the minutes that could be there that are complete, repaired or quiet.

    Args:
        hours: rows of the completeness query.
        known: venue, symbol, first_bar, last_bar of each market: its first and last hours are short.
    """
    minute, hour = pl.duration(minutes=1), pl.duration(hours=1)
    begins = pl.max_horizontal("hour", "first_bar")
    ends = pl.min_horizontal(pl.col("hour") + hour, pl.col("last_bar") + minute)
    table = hours.join(known, on=["venue", "symbol"]).with_columns(
        market=pl.col("venue") + " " + pl.col("symbol"),
        label=pl.col("hour").dt.strftime("%b %d %H:00"),
        good=pl.col("complete") + pl.col("repaired") + pl.col("quiet"),
        possible=(ends - begins).dt.total_minutes().clip(1),
    )
    words = pl.format("{} of {} minutes. {}", "good", "possible", "reason")
    table = table.with_columns(
        good_pct=100 * pl.col("good") / pl.col("possible"),
        text=words.map_elements(html.escape, return_dtype=pl.String),
    ).sort("hour")
    order = table["label"].unique(maintain_order=True).to_list()
    wide = table.pivot(on="label", index="market", values="good_pct").select("market", *order)
    said = table.pivot(on="label", index="market", values="text").select("market", *order)
    figure = go.Figure(
        go.Heatmap(
            x=order, y=wide["market"], z=wide.drop("market").to_numpy(), zmin=0, zmax=100,
            colorscale=[[0, DOWN], [0.8, WARN], [0.99, "#84cc16"], [1, UP]], text=said.drop("market").to_numpy(),
            texttemplate="%{z:.0f}" if len(order) <= 36 else None, xgap=2, ygap=2, colorbar={"title": "%"},
            hovertemplate="%{y}<br>%{x} UTC<br>%{z:.1f} %<br>%{text}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(type="category")
    return _laid_out(figure, 140 + 40 * wide.height)


def reaction(moved: pl.DataFrame, published_at: object) -> go.Figure:
    """The price around an article, from five minutes before to five after.

    Args:
        moved: window_end, change_pct from the first of these minutes.
        published_at: marked by a line.
    """
    figure = go.Figure(
        go.Scatter(
            x=moved["window_end"], y=moved["change_pct"], mode="lines+markers", line={"color": LINE, "width": 2},
            name="price", hovertemplate="%{x|%H:%M}: %{y:+.3f} %<extra></extra>",
        )
    )  # fmt: skip
    figure.add_hline(y=0, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.add_vline(x=published_at, line={"color": WARN, "width": 2})
    figure.add_annotation(
        x=published_at, y=1, yref="paper", text="published", showarrow=False, xanchor="left", xshift=4
    )
    figure.update_yaxes(title="% since the first minute shown")
    return _laid_out(figure, 300)


def lines(frame: pl.DataFrame, x: str, ys: Sequence[str], *, second: str | None = None, height: int = 380) -> go.Figure:
    """Lines over time; `second` gets an axis of its own at the right."""
    figure = make_subplots(specs=[[{"secondary_y": second is not None}]])
    for name, colour in zip(ys, (LINE, WARN, UP, DOWN), strict=False):
        figure.add_trace(go.Scatter(x=frame[x], y=frame[name], name=name, line={"color": colour}))
    if second is not None:
        figure.add_trace(go.Scatter(x=frame[x], y=frame[second], name=second, line={"color": MUTED}), secondary_y=True)
    return _laid_out(figure, height)


def bars_by(frame: pl.DataFrame, x: str, y: str, *, label: str, height: int = 320) -> go.Figure:
    """Bars, green above zero and red below.

    Args:
        label: how a time is written below its bar; each has its place, also where there are few.
    """
    colours = [UP if (value or 0) >= 0 else DOWN for value in frame[y]]
    figure = go.Figure(go.Bar(x=frame[x].dt.strftime(label), y=frame[y], marker_color=colours))
    figure.update_xaxes(type="category", nticks=10)
    figure.update_layout(bargap=0.3 if frame.height > 5 else 0.7)
    return _laid_out(figure, height)


def moves(history: pl.DataFrame, threshold: float) -> go.Figure:
    """Returns of bars against a threshold: those beyond it stand out.

    Args:
        history: window_start, return_pct.
        threshold: in percent, of either direction.
    """
    beyond = history["return_pct"].abs() >= threshold
    colours = [
        (UP if value > 0 else DOWN) if hit else MUTED for value, hit in zip(history["return_pct"], beyond, strict=True)
    ]
    figure = go.Figure(go.Bar(x=history["window_start"], y=history["return_pct"], marker_color=colours, name="return"))
    for level in (threshold, -threshold):
        figure.add_hline(y=level, line={"color": WARN, "width": 1, "dash": "dash"})
    figure.update_yaxes(title="% in 5 minutes")
    return _laid_out(figure, 300)


def _laid_out(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(height=height, margin=_MARGIN, legend={"orientation": "h"})
    return figure
