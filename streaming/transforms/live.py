"""Markets as they are right now: plain Python and Polars, run in Spark's workers and in tests without it.

What it says is fresh and provisional: the open minute's bar, the last price, its changes, and what the alert rules
(rules/) say. What is final comes from bars. Times are integers, microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from streaming.transforms import intervals
from streaming.transforms.bars import MINUTE_US, Partial, fold_all, merge_into
from streaming.transforms.life import MAX_SILENCES, signs_of_life
from streaming.transforms.rules.book import Book, Rules
from streaming.transforms.rules.engine import Memory, evaluate, silent
from streaming.transforms.rules.fired import Fired
from streaming.transforms.rules.market import SLICE_US, Market, NewsItem
from streaming.transforms.unseen import seen_runs, unseen

HISTORY_MINUTES = 24 * 60 + 5
"""Closes of this many minutes are kept: enough for the change over 24 h, 12 KB a market."""

MEAN_MINUTES = 5


class LiveState(msgspec.Struct, array_like=True):
    """What a market must remember for its live row and its rules."""

    seen: list[tuple[int, int]] = []
    digests: dict[int, int] = {}
    clock_us: int = 0
    alive_us: int = 0
    ended: bool = False
    price: float = 0.0
    price_order: int = -1
    price_time_us: int = 0
    first_minute: int = 0
    slices: dict[int, Partial] = {}
    minutes: dict[int, Partial] = {}
    closes: dict[int, float] = {}
    silences: list[tuple[int, int]] = []
    memory: Memory = msgspec.field(default_factory=Memory)


class Told(msgspec.Struct):
    """What a batch tells of a market: its live row (None while no trade is known), and what fired."""

    row: dict[str, Any] | None = None
    fired: list[Fired] = []


def advance_all(
    states: dict[str, LiveState],
    trades: pl.DataFrame,
    beats: pl.DataFrame,
    rules: Rules | Book,
    news: Sequence[NewsItem] = (),
) -> dict[str, Told]:
    """Take a batch of one partition's records into its markets' states; what it tells, by market.

    Markets without trades in the batch tell of incidents only.

    Args:
        states: by `venue:symbol`; changed in place, new markets are added.
        trades: decode.TRADE_EVENTS; repeats allowed, in the batch and of earlier batches.
        beats: decode.BEATS; those of markets that never traded here are left out.
        news: what is known, ascending by time.
    """
    for market in trades["market"].unique():
        states.setdefault(market, LiveState())
    partition_clock = max([_newest(trades), _newest(beats), *(state.alive_us for state in states.values())])
    fresh = unseen({market: states[market] for market in trades["market"].unique()}, trades)
    judged_from = _take(states, fresh, rules)
    _note_life(states, trades, beats)
    told = {market: Told(_row(states[market])) for market in judged_from}
    for market, state in states.items():
        fired = _judge(
            market, state, rules.of(market), news, since=judged_from.get(market), partition_clock=partition_clock
        )
        if fired:
            told.setdefault(market, Told()).fired = fired
        if market in judged_from:
            _forget(state, rules)
    return told


def _newest(records: pl.DataFrame) -> int:
    return int(records["event_time"].max() or 0)  # type: ignore[arg-type]


def _take(states: Mapping[str, LiveState], fresh: pl.DataFrame, rules: Rules | Book) -> dict[str, int]:
    # New trades into slices and minutes; from which slice on each market is to be judged.
    judged_from = {}
    for market, runs in seen_runs(fresh).items():
        states[market].seen = intervals.union(states[market].seen, runs)
    for market, slices in fold_all(fresh, SLICE_US).items():
        state = states[market]
        merge_into(state.slices, slices)
        for start, part in slices.items():
            merge_into(state.minutes, {start - start % MINUTE_US: part})
        for minute in {start - start % MINUTE_US for start in slices}:
            state.closes[minute] = state.minutes[minute].close
        state.first_minute = state.first_minute or min(state.minutes)
        judged_from[market] = _first_to_judge(state, slices, rules)
    for market, price, order, time in _last_prices(fresh):
        state = states[market]
        if order > state.price_order:
            state.price, state.price_order, state.price_time_us = price, order, time
    return judged_from


def _first_to_judge(state: LiveState, slices: Mapping[int, Partial], rules: Rules | Book) -> int:
    # What streamed is judged however long a batch is; what came by REST as history is not, unless it is recent.
    recent = max(state.clock_us, *slices) - rules.horizon_s * 1_000_000
    streamed = [start for start, part in slices.items() if part.count > part.rest]
    repaired = [start for start, part in slices.items() if part.rest and start >= recent]
    floor = state.clock_us - rules.horizon_s * 1_000_000
    return max(min([*streamed, *repaired], default=max(slices) + SLICE_US), floor)


def _last_prices(fresh: pl.DataFrame) -> list[tuple[str, float, int, int]]:
    order = pl.when(pl.col("trade_id") >= 0).then("trade_id").otherwise("event_time")
    last = fresh.with_columns(order=order).sort("order").group_by("market").last()
    return last.select("market", "price", "order", "event_time").rows()


def _note_life(states: Mapping[str, LiveState], trades: pl.DataFrame, beats: pl.DataFrame) -> None:
    for market, life in signs_of_life(trades, beats.filter(pl.col("market").is_in(list(states)))).items():
        state = states[market]
        state.silences += life.since(state.alive_us)
        state.alive_us = max(state.alive_us, life.last)
        state.ended = life.ended
    newest = pl.concat([trades.select("market", "event_time"), beats.select("market", "event_time")])
    for market, clock in newest.group_by("market").agg(pl.max("event_time")).iter_rows():
        if market in states:
            states[market].clock_us = max(states[market].clock_us, clock)


def _judge(
    name: str, state: LiveState, rules: Rules, news: Sequence[NewsItem], *, since: int | None, partition_clock: int
) -> list[Fired]:
    fired = [] if state.ended else silent(rules, state.memory, state.alive_us, partition_clock)
    if since is None and not state.memory.withheld and len(state.seen) <= 1:
        return fired
    base = name.partition(":")[2].partition("-")[0]
    market = Market(
        slices=state.slices,
        minutes=state.minutes,
        seen=state.seen,
        since=state.first_minute + MINUTE_US,
        silences=state.silences,
        news=[article for article in news if base in article.assets],
        clock=state.clock_us,
    )
    return fired + evaluate(market, rules, state.memory, since=state.clock_us if since is None else since)


def _forget(state: LiveState, rules: Rules | Book) -> None:
    clock = state.clock_us
    oldest_close = clock - HISTORY_MINUTES * MINUTE_US
    state.closes = {start: close for start, close in state.closes.items() if start >= oldest_close}
    oldest_minute = clock - (max(rules.baseline_minutes, MEAN_MINUTES) + 2) * MINUTE_US
    state.minutes = {start: part for start, part in state.minutes.items() if start >= oldest_minute}
    oldest_slice = clock - rules.horizon_s * 1_000_000 - 2 * MINUTE_US
    state.slices = {start: part for start, part in state.slices.items() if start >= oldest_slice}
    state.silences = [silence for silence in state.silences if silence[1] >= oldest_slice][-MAX_SILENCES:]
    state.digests = {digest: at for digest, at in state.digests.items() if at >= oldest_slice}


def _row(state: LiveState) -> dict[str, Any] | None:
    if state.price_order < 0:
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
        "price_5m_mean": _mean(state, start),
    }


def _change_pct(state: LiveState, minutes: int) -> float | None:
    # Against the close of the minute that long ago, or the last one before it within five minutes.
    then = state.price_time_us - state.price_time_us % MINUTE_US - minutes * MINUTE_US
    for back in range(5):
        close = state.closes.get(then - back * MINUTE_US)
        if close:
            return 100 * (state.price / close - 1)
    return None


def _mean(state: LiveState, start: int) -> float:
    # As silver.price_means_5m has it, but for the open minute: of every trade of the last five minutes.
    window = range(start - (MEAN_MINUTES - 1) * MINUTE_US, start + 1, MINUTE_US)
    parts = [state.minutes[minute] for minute in window if minute in state.minutes]
    count = sum(part.count for part in parts)
    return sum(part.price_sum for part in parts) / count if count else state.price
