"""From trades to bars: partial bars that can be merged in any order, and what a finished bar says.

What belongs here: the arithmetic of one window. What does not: which windows are open (market.py).
Times are integers, microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

MINUTE_US = 60_000_000
FIVE_MINUTES_US = 5 * MINUTE_US

TRADE_SCHEMA = {
    "trade_id": pl.Int64,
    "price": pl.Float64,
    "quantity": pl.Float64,
    "is_buy": pl.Boolean,
    "is_rest": pl.Boolean,
    "event_time": pl.Int64,
}
"""Columns of a market's trades as the functions here take them; event_time in microseconds."""

_PARKINSON = 2 * math.sqrt(math.log(2))


class Partial(msgspec.Struct, array_like=True):
    """Part of a window's trades, folded. Merging is associative and commutative but for the last bits of the sums.

    `first_id` and `last_id` are what orders the trades: their ids, or the event times of `unnumbered` ones.
    """

    count: int
    first_id: int
    last_id: int
    open: float
    close: float
    high: float
    low: float
    volume: float
    quote: float
    buy: float
    rest: int
    unnumbered: int = 0
    price_sum: float = 0.0

    @property
    def vwap(self) -> float | None:
        """Mean price by volume; None without volume."""
        return self.quote / self.volume if self.volume > 0 else None

    def merge(self, other: Partial) -> Partial:
        """Both parts as one. Open and close are those of the least and the greatest trade id."""
        return Partial(
            count=self.count + other.count,
            first_id=min(self.first_id, other.first_id),
            last_id=max(self.last_id, other.last_id),
            open=self.open if self.first_id <= other.first_id else other.open,
            close=self.close if self.last_id >= other.last_id else other.close,
            high=max(self.high, other.high),
            low=min(self.low, other.low),
            volume=self.volume + other.volume,
            quote=self.quote + other.quote,
            buy=self.buy + other.buy,
            rest=self.rest + other.rest,
            unnumbered=self.unnumbered + other.unnumbered,
            price_sum=self.price_sum + other.price_sum,
        )


class Before(msgspec.Struct, array_like=True):
    """What is known from the windows before: the last trade's id and price."""

    last_id: int
    close: float


def fold(trades: pl.DataFrame, window_us: int = MINUTE_US) -> dict[int, Partial]:
    """Fold a market's trades (TRADE_SCHEMA, one row per id) into partial bars by window start."""
    return fold_all(trades.with_columns(market=pl.lit("")), window_us).get("", {})


def fold_all(trades: pl.DataFrame, window_us: int = MINUTE_US) -> dict[str, dict[int, Partial]]:
    """Fold the trades of markets (market, TRADE_SCHEMA; a row per id) into partial bars, by market and window."""
    if trades.is_empty():
        return {}
    is_numbered = pl.col("trade_id") >= 0
    order = pl.when(is_numbered).then("trade_id").otherwise("event_time")
    folded = (
        trades.with_columns(order=order, window=pl.col("event_time") - pl.col("event_time") % window_us)
        .sort("market", "order", maintain_order=True)
        .group_by("market", "window")
        .agg(
            pl.len().alias("count"),
            pl.col("order").first().alias("first_id"),
            pl.col("order").last().alias("last_id"),
            pl.col("price").first().alias("open"),
            pl.col("price").last().alias("close"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("quantity").sum().alias("volume"),
            (pl.col("price") * pl.col("quantity")).sum().alias("quote"),
            pl.col("quantity").filter(pl.col("is_buy")).sum().alias("buy"),
            pl.col("is_rest").sum().alias("rest"),
            (~is_numbered).sum().alias("unnumbered"),
            pl.col("price").sum().alias("price_sum"),
        )
    )
    found: dict[str, dict[int, Partial]] = {}
    for row in folded.iter_rows():
        found.setdefault(row[0], {})[row[1]] = Partial(*row[2:])
    return found


def merge_into(partials: dict[int, Partial], more: Mapping[int, Partial]) -> None:
    """Merge partial bars into those at hand, window by window."""
    for window, partial in more.items():
        at_hand = partials.get(window)
        partials[window] = at_hand.merge(partial) if at_hand else partial


def finish(
    window_start: int,
    window_us: int,
    partial: Partial | None,
    *,
    before: Before | None,
    missing: int,
    unproven: str,
    gone: str = "",
) -> dict[str, Any] | None:
    """What the finished bar of a window says: columns of contracts.tables' bars without market and partition.

    Args:
        partial: the window's trades; None when there were none.
        before: the last trade before the window; None when nothing is known from before.
        missing: trade ids between the last one before the window and the window's last that were not seen.
        unproven: why more trades may be missing at the window's edges; empty when that is ruled out.
        gone: how the venue said that it no longer has the missing ones; empty unless it said so of all of them.

    Returns:
        The row with window_start and window_end in microseconds; None when there is nothing to say, which is
        when no trade is known, neither in the window nor before it.
    """
    times = {"window_start": window_start, "window_end": window_start + window_us}
    if partial is None:
        return times | _without_trades(before, unproven) if before else None
    is_numbered = not partial.unnumbered
    completeness, reason = _completeness(partial, before, missing, unproven, gone)
    return times | {
        "open": partial.open,
        "high": partial.high,
        "low": partial.low,
        "close": partial.close,
        "vwap": partial.vwap,
        "volume_base": partial.volume,
        "volume_quote": partial.quote,
        "buy_volume_base": partial.buy,
        "trade_count": partial.count,
        "return_pct": 100 * (partial.close / before.close - 1) if before else None,
        "volatility_pct": volatility_pct(partial),
        "first_trade_id": partial.first_id if is_numbered else None,
        "last_trade_id": partial.last_id if is_numbered else None,
        "coverage_pct": 100 * (1 - missing / spanned(partial, before)),
        "completeness": completeness,
        "completeness_reason": reason,
    }


def volatility_pct(partial: Partial) -> float:
    """Parkinson's estimate from high and low, in percent."""
    return 100 * math.log(partial.high / partial.low) / _PARKINSON


def spanned(partial: Partial, before: Before | None) -> int:
    """How many trade ids the window's trades span, from behind the last one before it."""
    behind = partial.last_id - before.last_id if before and before.last_id < partial.last_id else 0
    return max(behind, partial.last_id - partial.first_id + 1)


def _without_trades(before: Before, unproven: str) -> dict[str, Any]:
    price = before.close
    return {
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "vwap": None,
        "volume_base": 0.0,
        "volume_quote": 0.0,
        "buy_volume_base": 0.0,
        "trade_count": 0,
        "return_pct": 0.0,
        "volatility_pct": 0.0,
        "first_trade_id": None,
        "last_trade_id": None,
        "coverage_pct": 100.0,
        "completeness": "partial" if unproven else "quiet",
        "completeness_reason": unproven,
    }


def _completeness(partial: Partial, before: Before | None, missing: int, unproven: str, gone: str) -> tuple[str, str]:
    if missing and gone and before and not unproven:
        return "unrecoverable", f"{missing} trade ids that the venue no longer has: {gone}"
    if missing:
        return "partial", f"{missing} trade ids missing"
    if partial.unnumbered:
        return "partial", "the venue gave no trade ids: nothing proves that none is missing"
    if before is None:
        return "partial", "first window of this market: trades before its first id are unknown"
    if unproven:
        return "partial", unproven
    return ("repaired", "") if partial.rest else ("complete", "")
