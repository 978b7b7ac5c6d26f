"""One market as it is right now, and the price-move rule: plain Python and Polars, run inside a stateful operator.

What it says is fresh and provisional: the open minute's bar, the last price, its changes. What is final comes from
bars. Times are integers, microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import polars as pl

from streaming.transforms import intervals
from streaming.transforms.bars import MINUTE_US, Partial, fold, merge_into

HISTORY_MINUTES = 24 * 60 + 5
"""Closes of this many minutes are kept: enough for the change over 24 h, 12 KB a market."""

SLICE_US = 10_000_000
"""The price-move rule compares the price with the opening price of each ten seconds of its window."""


class LiveState(msgspec.Struct, array_like=True):
    """What a market must remember for its live row and its rules."""

    seen: list[tuple[int, int]] = []
    clock_us: int = 0
    price: float = 0.0
    price_id: int = -1
    price_time_us: int = 0
    minutes: dict[int, Partial] = {}
    closes: dict[int, float] = {}
    slices: dict[int, float] = {}
    alerted_us: dict[str, int] = {}


class MoveRule(msgspec.Struct, frozen=True):
    """Fires when the price moved by `threshold_pct` within `window_s` of feed time."""

    threshold_pct: float
    window_s: int
    cooldown_s: int
    name: str = "price_move"


def advance(
    state: LiveState, trades: pl.DataFrame, clock_us: int, rule: MoveRule
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Take a batch of a market's trades (bars.TRADE_SCHEMA) into its state.

    Args:
        clock_us: greatest event time of the market's records, heartbeats included.

    Returns:
        The live row (None while no trade is known), and the alerts that the batch raised.
    """
    known = intervals.contains(state.seen, trades["trade_id"].to_numpy())
    fresh = trades.filter(~pl.Series(known)).unique("trade_id", keep="first")
    state.seen = intervals.union(state.seen, intervals.from_ids(fresh["trade_id"].to_numpy()))
    state.clock_us = max(state.clock_us, clock_us)
    alerts: list[dict[str, Any]] = []
    if fresh.height:
        _take(state, fresh)
        alerts = _moves(state, fresh, rule)
    _forget(state, rule)
    return _row(state), alerts


def _take(state: LiveState, fresh: pl.DataFrame) -> None:
    folded = fold(fresh)
    merge_into(state.minutes, folded)
    for start in folded:
        state.closes[start] = state.minutes[start].close
    for start, part in fold(fresh, SLICE_US).items():
        state.slices.setdefault(start, part.open)
    newest = fresh.row(fresh["trade_id"].arg_max() or 0, named=True)
    if newest["trade_id"] > state.price_id:
        state.price, state.price_id = newest["price"], newest["trade_id"]
        state.price_time_us = newest["event_time"]


def _moves(state: LiveState, fresh: pl.DataFrame, rule: MoveRule) -> list[dict[str, Any]]:
    # History that arrives by REST or in a backlog raises no alert for moves that are long over.
    if state.price_time_us < state.clock_us - rule.window_s * 1_000_000:
        return []
    since = state.price_time_us - rule.window_s * 1_000_000
    past = {start: price for start, price in state.slices.items() if since <= start <= state.price_time_us}
    if not past:
        return []
    alerts = []
    for direction, start in (("up", min(past, key=lambda s: past[s])), ("down", max(past, key=lambda s: past[s]))):
        move_pct = 100 * (state.price / past[start] - 1)
        is_over = move_pct >= rule.threshold_pct if direction == "up" else move_pct <= -rule.threshold_pct
        last = state.alerted_us.get(direction, 0)
        if is_over and state.price_time_us - last >= rule.cooldown_s * 1_000_000:
            state.alerted_us[direction] = state.price_time_us
            alerts.append(
                {
                    "rule": rule.name,
                    "direction": direction,
                    "window_start": start,
                    "window_end": state.price_time_us,
                    "value": move_pct,
                    "threshold": rule.threshold_pct,
                    "trade_id": state.price_id,
                    "price": state.price,
                }
            )
    return alerts


def alert_id(rule: str, market: str, window_start_us: int, direction: str, trade_id: int) -> str:
    """The alert's id: a function of what raised it, so that a repeated batch raises the same alert."""
    text = f"{rule}|{market}|{window_start_us}|{direction}|{trade_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _forget(state: LiveState, rule: MoveRule) -> None:
    oldest_minute = state.clock_us - HISTORY_MINUTES * MINUTE_US
    state.closes = {start: close for start, close in state.closes.items() if start >= oldest_minute}
    open_from = state.clock_us - state.clock_us % MINUTE_US - MINUTE_US
    state.minutes = {start: part for start, part in state.minutes.items() if start >= open_from}
    oldest_slice = state.clock_us - (rule.window_s * 1_000_000 + 2 * MINUTE_US)
    state.slices = {start: price for start, price in state.slices.items() if start >= oldest_slice}


def _row(state: LiveState) -> dict[str, Any] | None:
    if state.price_id < 0:
        return None
    start = state.price_time_us - state.price_time_us % MINUTE_US
    part = state.minutes.get(start)
    return {
        "price": state.price,
        "event_time": state.price_time_us,
        "window_start": start,
        "open": part.open if part else state.price,
        "high": part.high if part else state.price,
        "low": part.low if part else state.price,
        "close": state.price,
        "volume_base": part.volume if part else 0.0,
        "volume_quote": part.quote if part else 0.0,
        "trade_count": part.count if part else 0,
        "change_1h_pct": _change_pct(state, 60),
        "change_24h_pct": _change_pct(state, 24 * 60),
        "price_5m_mean": _mean_of_minutes(state, 5),
    }


def _change_pct(state: LiveState, minutes: int) -> float | None:
    # Against the close of the minute that long ago, or the last one before it within five minutes.
    then = state.price_time_us - state.price_time_us % MINUTE_US - minutes * MINUTE_US
    for back in range(5):
        close = state.closes.get(then - back * MINUTE_US)
        if close:
            return 100 * (state.price / close - 1)
    return None


def _mean_of_minutes(state: LiveState, minutes: int) -> float:
    start = state.price_time_us - state.price_time_us % MINUTE_US
    window = range(start - (minutes - 1) * MINUTE_US, start + 1, MINUTE_US)
    closes = [state.closes[minute] for minute in window if minute in state.closes]
    return sum(closes) / len(closes) if closes else state.price
