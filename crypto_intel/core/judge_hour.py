"""Judgements of an hour's tables: rows in, the rows that are wrong out. An empty frame says that nothing is.

What belongs here: what is wrong. What does not: when it is judged and what blocks on it (checks/hours.py).
"""

from __future__ import annotations

import polars as pl

_MARKET = ["venue", "symbol"]

MAX_BACKWARDS_S = 1.0
"""A trade with a later id may be this much older than the one before: venues stamp trades on several machines."""

MAX_DEVIATION_PCT = 1.0
"""Markets of one asset stand within this of their middle; arbitrage closes more within seconds."""


def unlisted_holes(trades: pl.DataFrame, before: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """Trade ids of the hour that are neither here nor in the ledger of gaps: venue, symbol, first_id, last_id.

    Args:
        trades: rows of silver.trades of the hour; those without a number of the venue's are left out.
        before: the last trade of each market before the hour: venue, symbol, trade_id.
        ledger: rows of silver.gaps. A gap that is repaired explains nothing: its ids must be here.
    """
    ids = pl.concat([before.select(*_MARKET, "trade_id"), trades.select(*_MARKET, "trade_id")])
    holes = (
        ids.filter(pl.col("trade_id") >= 0)
        .sort(*_MARKET, "trade_id")
        .with_columns(first_id=pl.col("trade_id").shift(1).over(_MARKET) + 1, last_id=pl.col("trade_id") - 1)
        .filter(pl.col("first_id") <= pl.col("last_id"))
        .select(*_MARKET, "first_id", "last_id")
    )
    listed = ledger.filter(pl.col("state") != "repaired").select(*_MARKET, gap_first="first_id", gap_last="last_id")
    explained = (
        holes.join(listed, on=_MARKET)
        .filter((pl.col("gap_first") <= pl.col("last_id")) & (pl.col("gap_last") >= pl.col("first_id")))
        .with_columns(ids=pl.min_horizontal("last_id", "gap_last") - pl.max_horizontal("first_id", "gap_first") + 1)
        .group_by(*_MARKET, "first_id", "last_id")
        .agg(listed_ids=pl.col("ids").sum())
    )
    return (
        holes.join(explained, on=[*_MARKET, "first_id", "last_id"], how="left")
        .with_columns(missing=pl.col("last_id") - pl.col("first_id") + 1 - pl.col("listed_ids").fill_null(0))
        .filter(pl.col("missing") > 0)
        .select(*_MARKET, "first_id", "last_id", "missing")
        .sort(*_MARKET, "first_id")
    )


def backward_trades(trades: pl.DataFrame) -> pl.DataFrame:
    """Trades whose time goes back against their id by more than MAX_BACKWARDS_S: the market, id, both times."""
    ordered = trades.filter(pl.col("trade_id") >= 0).sort(*_MARKET, "trade_id")
    newest_before = pl.col("event_time").cum_max().shift(1).over(_MARKET)
    return (
        ordered.with_columns(newest_before=newest_before)
        .with_columns(back_s=(pl.col("newest_before") - pl.col("event_time")).dt.total_microseconds() / 1_000_000)
        .filter(pl.col("back_s") > MAX_BACKWARDS_S)
        .select(*_MARKET, "trade_id", "event_time", "newest_before", "back_s")
    )


def inconsistent_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars that contradict themselves: prices outside of low and high, a quiet bar with trades, or trades unsorted."""
    price = pl.min_horizontal("open", "close", "vwap"), pl.max_horizontal("open", "close", "vwap")
    tolerance = 1 + 1e-9  # vwap is a quotient of sums
    reason = (
        pl.when((price[0] * tolerance < pl.col("low")) | (price[1] > pl.col("high") * tolerance))
        .then(pl.lit("a price outside of low and high"))
        .when((pl.col("completeness") == "quiet") & (pl.col("trade_count") > 0))
        .then(pl.lit("quiet with trades"))
        .when(pl.col("first_trade_id") > pl.col("last_trade_id"))
        .then(pl.lit("first id behind the last"))
        .when(pl.col("buy_volume_base") > pl.col("volume_base") * tolerance)
        .then(pl.lit("more bought than traded"))
    )
    shown = [*_MARKET, "window_start", "open", "high", "low", "close", "vwap", "trade_count", "completeness", "reason"]
    return bars.with_columns(reason=reason).filter(pl.col("reason").is_not_null()).select(shown)


def disagreeing_markets(prices: pl.DataFrame) -> pl.DataFrame:
    """Minutes in which a market is off the middle of its asset's markets by more than MAX_DEVIATION_PCT.

    Where all markets move together the middle moves with them, and nothing disagrees: that is the market's news. One
    venue alone off the others is a fault of its data. With two markets both are shown: nobody can say who is wrong.

    Args:
        prices: rows of gold.cross_venue.
    """
    off = prices.filter((pl.col("markets") > 1) & (pl.col("deviation_pct").abs() > MAX_DEVIATION_PCT))
    shown = ["base", *_MARKET, "window_start", "price_usd", "reference_usd", "deviation_pct", "markets"]
    return off.select(shown).sort(pl.col("deviation_pct").abs(), descending=True)
