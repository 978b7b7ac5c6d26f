"""Longer bars from shorter ones: 5 minutes and an hour from minutes, a day from hours.

The same rules as of the fold that makes minutes from trades, so that a longer bar is what the fold of its trades would
say: open and close by trade id, volumes summed, coverage by ids. What belongs here: that arithmetic.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.core.frames import conform

_PARKINSON = 2 * math.sqrt(math.log(2))
_STATES = ("partial", "unrecoverable", "repaired", "complete")
_MARKET = ["venue", "symbol"]
MAX_REASONS = 3
"""Reasons that a longer bar repeats of its parts."""


def longer_bars(
    parts: pl.DataFrame, table: Table, *, every: timedelta, part: timedelta, start: datetime, end: datetime
) -> pl.DataFrame:
    """Bars of the table that start in [start, end), sorted by market and time.

    Args:
        parts: shorter bars of [start, end), and of the time before it: the close before the first window is theirs.
        every: length of the bars to make.
        part: length of the shorter ones.
    """
    ordered = parts.sort(*_MARKET, "window_start").with_columns(
        traded=pl.col("trade_count") > 0,
        missing=(pl.col("trade_count") * (100 / pl.col("coverage_pct") - 1)).round(),
    )
    window = pl.col("window_start").dt.truncate(every)
    bars = ordered.group_by(*_MARKET, window_start=window, maintain_order=True).agg(
        *_prices(), *_sums(), *_ids(), *_completeness(every // part)
    )
    before = pl.col("close").shift(1).over(_MARKET)
    finished = bars.with_columns(
        window_end=pl.col("window_start") + every,
        vwap=pl.when(pl.col("volume_base") > 0).then(pl.col("volume_quote") / pl.col("volume_base")),
        return_pct=100 * (pl.col("close") / before - 1),
        volatility_pct=100 * (pl.col("high") / pl.col("low")).log() / _PARKINSON,
        coverage_pct=pl.when(pl.col("missing") > 0)
        .then(100 * (1 - pl.col("missing") / (pl.col("missing") + pl.col("trade_count"))))
        .otherwise(100.0),
    ).filter(pl.col("window_start").is_between(start, end, closed="left"))
    partition = pl.col("window_start").dt.strftime("%Y-%m-%d-%H" if every <= timedelta(hours=1) else "%Y-%m-%d")
    return conform(_with_words(finished).with_columns(partition.alias(table.partition_by[0])), table).sort(table.key)


def _prices() -> list[pl.Expr]:
    # Of a window without trades every price is the close before it, which its parts carry.
    traded = pl.col("traded")
    first_id = pl.col("first_trade_id").filter(traded)
    last_id = pl.col("last_trade_id").filter(traded)
    return [
        pl.coalesce(pl.col("open").filter(traded).sort_by(first_id).first(), pl.col("open").first()).alias("open"),
        pl.coalesce(pl.col("high").filter(traded).max(), pl.col("high").first()).alias("high"),
        pl.coalesce(pl.col("low").filter(traded).min(), pl.col("low").first()).alias("low"),
        pl.coalesce(pl.col("close").filter(traded).sort_by(last_id).last(), pl.col("close").last()).alias("close"),
    ]


def _sums() -> list[pl.Expr]:
    return [pl.col("volume_base", "volume_quote", "buy_volume_base", "trade_count").sum(), pl.col("missing").sum()]


def _ids() -> list[pl.Expr]:
    # One part without numbers, and the whole has none.
    is_numbered = pl.col("first_trade_id").filter(pl.col("traded")).is_not_null().all()
    return [
        pl.when(is_numbered).then(pl.col("first_trade_id").min()).alias("first_trade_id"),
        pl.when(is_numbered).then(pl.col("last_trade_id").max()).alias("last_trade_id"),
    ]


def _completeness(expected: int) -> list[pl.Expr]:
    state = pl.col("completeness")
    reasons = pl.col("completeness_reason")
    return [
        *((state == word).sum().alias(word) for word in _STATES),
        (expected - pl.len().cast(pl.Int64)).alias("absent"),
        pl.lit(expected).alias("expected"),
        reasons.filter(reasons != "").unique(maintain_order=True).head(MAX_REASONS).str.join("; ").alias("reasons"),
    ]


def _with_words(bars: pl.DataFrame) -> pl.DataFrame:
    state = (
        pl.when((pl.col("absent") > 0) | (pl.col("partial") > 0))
        .then(pl.lit("partial"))
        .when(pl.col("unrecoverable") > 0)
        .then(pl.lit("unrecoverable"))
        .when(pl.col("repaired") > 0)
        .then(pl.lit("repaired"))
        .when(pl.col("complete") > 0)
        .then(pl.lit("complete"))
        .otherwise(pl.lit("quiet"))
    )
    absent = pl.when(pl.col("absent") > 0).then(pl.format("{} of {} parts absent", "absent", "expected"))
    return bars.with_columns(
        completeness=state,
        completeness_reason=pl.concat_str(
            absent, pl.when(pl.col("reasons") != "").then("reasons"), separator="; ", ignore_nulls=True
        ),
    )
