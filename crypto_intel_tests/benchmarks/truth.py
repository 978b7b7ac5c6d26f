"""What must become of a market (market.py), and what of that an output lacks.

Computed in Polars from the generator's own columns, sums in integers; nothing of the code under test is used. An
output is right when every bar and every pair is there once, with equal values: all but the sums to the last bit.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from crypto_intel_tests.benchmarks.market import MINUTE_US, SCALE, START_US, Market

JOIN_US = 5 * MINUTE_US
"""How far an article may be from a bar's end."""
RELATIVE_ERROR = 1e-9
"""Of sums, whose last bits depend on their order."""

BAR_KEY = ["symbol", "window_start"]
BAR_EXACT = ["open", "high", "low", "close", "trade_count", "first_trade_id", "last_trade_id"]
BAR_SUMS = ["volume_base", "volume_quote", "buy_volume_base", "vwap"]
BARS = [*BAR_KEY, *BAR_EXACT, *BAR_SUMS]
PAIR_KEY = [*BAR_KEY, "article_id"]
PAIR_EXACT = ["published_at", "title", "sentiment"]
PAIRS = [*PAIR_KEY, *PAIR_EXACT]


class Truth(NamedTuple):
    """Bars of windows with trades (columns BARS), and pairs (PAIRS); times are integers in microseconds."""

    bars: pl.DataFrame
    pairs: pl.DataFrame


def truth_of(market: Market) -> Truth:
    """What must become of the market, ordered by key."""
    bars = bars_of(market)
    return Truth(bars, _pairs(market, bars))


def bars_of(market: Market, window_us: int = MINUTE_US) -> pl.DataFrame:
    """The bars of full windows of that length."""
    window = pl.col("event_time") - (pl.col("event_time") - START_US) % window_us
    bought = pl.col("quantity").filter(~pl.col("is_sell"))
    whole = (
        market.trades.sort("market", "trade_id")
        .group_by("market", window_start=window, maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            trade_count=pl.len().cast(pl.Int64),
            first_trade_id=pl.col("trade_id").min(),
            last_trade_id=pl.col("trade_id").max(),
            volume_base=pl.col("quantity").sum(),
            volume_quote=(pl.col("price") * pl.col("quantity")).sum(),
            buy_volume_base=bought.sum(),
        )
    )
    scaled = [
        _divided(whole, name, SCALE) for name in ("open", "high", "low", "close", "volume_base", "buy_volume_base")
    ]
    vwap = whole["volume_quote"].cast(pl.Float64) / whole["volume_base"].cast(pl.Float64)
    symbols = pl.Series("symbol", market.symbols)
    return (
        whole.with_columns(
            *scaled,
            _divided(whole, "volume_quote", SCALE * SCALE),
            symbols[whole["market"]].alias("symbol"),
            vwap=_divided(pl.DataFrame({"vwap": vwap}), "vwap", SCALE),
        )
        .select(BARS)
        .sort(BAR_KEY)
    )


def _divided(frame: pl.DataFrame, name: str, by: int) -> pl.Series:
    # By a column: Polars divides by a literal by multiplying with its reciprocal, which is not the nearest double.
    return (frame[name].cast(pl.Float64) / pl.Series([float(by)]).new_from_index(0, frame.height)).alias(name)


def _pairs(market: Market, bars: pl.DataFrame) -> pl.DataFrame:
    news = pl.DataFrame(
        [
            (f"{base}-USDT", article.article_id, article.published_at, article.title, article.sentiment)
            for article in market.articles
            for base in article.symbols
        ],
        schema={"symbol": pl.String, "article_id": pl.String, **_PAIR_TYPES},
        orient="row",
    )
    end = pl.col("window_start") + MINUTE_US
    near = (pl.col("published_at") - end).abs() <= JOIN_US
    return bars.join(news, on="symbol").filter(near).select(PAIRS).sort(PAIR_KEY)


_PAIR_TYPES = {"published_at": pl.Int64, "title": pl.String, "sentiment": pl.Float64}


def faults(what: str, got: pl.DataFrame, want: pl.DataFrame, key: list[str]) -> list[str]:
    """What differs, in a few words each; empty when the output is right."""
    got = got.select(want.columns).sort(key)
    if got.height != want.height or not got.select(key).equals(want.select(key)):
        unknown, lost = got.join(want, on=key, how="anti").height, want.join(got, on=key, how="anti").height
        doubled = got.height - got.select(key).n_unique()
        return [f"{what}: {got.height} rows of {want.height}: {lost} lost, {doubled} doubled, {unknown} unknown"]
    return [fault for name in want.columns if name not in key if (fault := _differs(what, name, got[name], want[name]))]


def _differs(what: str, name: str, got: pl.Series, want: pl.Series) -> str:
    if name in BAR_SUMS:
        # Of nothing there is no ratio.
        off = (got - want).abs() > RELATIVE_ERROR * want.abs().clip(1e-12)
        return f"{what}.{name}: {off.sum()} sums off by more than {RELATIVE_ERROR:g}" if off.any() else ""
    wrong = got.ne_missing(want).sum()
    return f"{what}.{name}: {wrong} of {want.len()} rows differ" if wrong else ""
