"""Windows of markets over time: what is open, what closes, what came too late.

The state machine behind the stream's bars, and, given an hour at once, behind the batch's: both call `advance_all`.
A market is a function of its own records in the order of its Kafka partition, so other markets do not change its
output; they only share the arithmetic, which is done for all markets of a partition at once. Times are integers,
microseconds since 1970-01-01 UTC.

A market's clock is the greatest event time among its trades and its feed's heartbeats. A window closes when the
clock is `delay_us` past its end, or when the feed ended. Closed windows are written once and never again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from streaming.transforms import intervals
from streaming.transforms.bars import (
    FIVE_MINUTES_US,
    MINUTE_US,
    Before,
    Partial,
    finish,
    fold_all,
    merge_into,
)
from streaming.transforms.unseen import seen_runs, unseen

SILENCE_US = 15_000_000
"""Feeds beat every 2 s of their own time: this long without a sign of life means trades may have been missed."""

MAX_SILENCES = 1_000
"""Bound of the silences that a market remembers; the oldest go first. They only matter to windows still open."""


class MarketState(msgspec.Struct, array_like=True):
    """What a market must remember between batches; small, however many trades there were."""

    clock_us: int = 0
    alive_from_us: int = 0
    alive_us: int = 0
    ended: bool = False
    closed_us: int = 0
    seen: list[tuple[int, int]] = []
    digests: dict[int, int] = {}
    minutes: dict[int, Partial] = {}
    fives: dict[int, Partial] = {}
    before_minute: Before | None = None
    before_five: Before | None = None
    silences: list[tuple[int, int]] = []


class Signals(msgspec.Struct, frozen=True):
    """Signs of life of a market's feed in one batch: times of heartbeats, and whether one said that it ended."""

    times: npt.NDArray[np.int64]
    ended: bool = False


class Closed(msgspec.Struct):
    """What a batch finished: rows of bars, and of late trades (window_start, trade_count, first and last id)."""

    minutes: list[dict[str, Any]] = []
    fives: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []


ONE = "one"


def advance(state: MarketState, trades: pl.DataFrame, signals: Signals, *, delay_us: int) -> Closed:
    """`advance_all` for one market: trades are bars.TRADE_SCHEMA."""
    beats = pl.DataFrame({"event_time": pl.Series(signals.times, dtype=pl.Int64)}).with_columns(
        market=pl.lit(ONE), ended=pl.lit(False)
    )
    if signals.ended:
        beats = beats.with_columns(ended=pl.int_range(pl.len()) == pl.len() - 1)
    return advance_all({ONE: state}, trades.with_columns(market=pl.lit(ONE)), beats, delay_us=delay_us)[ONE]


def advance_all(
    states: Mapping[str, MarketState], trades: pl.DataFrame, beats: pl.DataFrame, *, delay_us: int
) -> dict[str, Closed]:
    """Take a batch of records of some markets into their states and return what it finished.

    Args:
        states: of every market that has records here; changed in place.
        trades: decode.TRADE_EVENTS; repeats allowed, in the batch and of earlier batches.
        beats: decode.BEATS, of the markets' own partition.
        delay_us: how long a window stays open past its end.
    """
    closed = {market: Closed() for market in states}
    fresh = unseen(states, trades)
    on_time = _split_late(states, fresh, closed)
    for market, partials in fold_all(on_time).items():
        merge_into(states[market].minutes, partials)
    for market, runs in seen_runs(fresh).items():
        states[market].seen = intervals.union(states[market].seen, runs)
    _note_life(states, on_time, beats)
    for market, state in states.items():
        for start in list(_closing(state, delay_us)):
            _close_minute(state, start, closed[market])
        _forget(state)
    return closed


def _split_late(states: Mapping[str, MarketState], fresh: pl.DataFrame, closed: Mapping[str, Closed]) -> pl.DataFrame:
    written = {market: state.closed_us for market, state in states.items() if state.closed_us}
    if not written or fresh.is_empty():
        return fresh
    until = pl.DataFrame(
        {"market": written.keys(), "_closed": written.values()}, schema_overrides={"_closed": pl.Int64}
    )
    marked = fresh.join(until, on="market", how="left", maintain_order="left")
    is_late = pl.col("event_time") < pl.col("_closed").fill_null(0)
    late = marked.filter(is_late).drop("_closed")
    if late.is_empty():
        return fresh
    for market, partials in fold_all(late).items():
        closed[market].late += [
            {
                "window_start": start,
                "trade_count": part.count,
                "first_trade_id": part.first_id,
                "last_trade_id": part.last_id,
            }
            for start, part in sorted(partials.items())
        ]
    return marked.filter(~is_late).drop("_closed")


def _note_life(states: Mapping[str, MarketState], trades: pl.DataFrame, beats: pl.DataFrame) -> None:
    streamed = trades.filter(~pl.col("is_rest")).select("market", "event_time")
    signs = pl.concat([streamed, beats.select("market", "event_time")]).sort("market", "event_time")
    ended = set(beats.filter("ended")["market"].to_list())
    newest = dict(trades.group_by("market").agg(pl.col("event_time").max()).iter_rows())
    first_last = signs.group_by("market").agg(
        pl.col("event_time").min().alias("first"), pl.col("event_time").max().alias("last")
    )
    life = {market: (first, last) for market, first, last in first_last.iter_rows()}
    before = pl.col("event_time").shift().over("market")
    silences: dict[str, list[tuple[int, int]]] = {}
    silent = signs.with_columns(before=before).filter(pl.col("event_time") - pl.col("before") > SILENCE_US)
    for market, until, since in silent.iter_rows():
        silences.setdefault(market, []).append((since, until))
    for market, state in states.items():
        state.clock_us = max(state.clock_us, newest.get(market, 0))
        if market in life:
            _live(state, life[market], silences.get(market, []))
        state.ended = market in ended or (state.ended and market not in life)


def _live(state: MarketState, life: tuple[int, int], silences: list[tuple[int, int]]) -> None:
    first, last = life
    state.clock_us = max(state.clock_us, last)
    state.alive_from_us = state.alive_from_us or first
    if state.alive_us and first - state.alive_us > SILENCE_US:
        state.silences.append((state.alive_us, first))
    state.silences += silences
    state.alive_us = max(state.alive_us, last)


def _closing(state: MarketState, delay_us: int) -> Iterator[int]:
    # Starts of the minutes that may close now, in order.
    if not state.closed_us:
        if not state.minutes:
            return
        state.closed_us = min(state.minutes)
    limit = state.clock_us - state.clock_us % MINUTE_US + MINUTE_US if state.ended else state.clock_us - delay_us
    yield from range(state.closed_us, limit - MINUTE_US + 1, MINUTE_US)


def _close_minute(state: MarketState, start: int, closed: Closed) -> None:
    partial = state.minutes.pop(start, None)
    row, state.before_minute = _finish(state, start, MINUTE_US, partial, state.before_minute)
    if row:
        closed.minutes.append(row)
    five = start - start % FIVE_MINUTES_US
    if partial:
        merge_into(state.fives, {five: partial})
    end = start + MINUTE_US
    state.closed_us = end
    feed_is_over = state.ended and state.clock_us < end
    if end == five + FIVE_MINUTES_US or feed_is_over:
        row, state.before_five = _finish(state, five, FIVE_MINUTES_US, state.fives.pop(five, None), state.before_five)
        if row:
            closed.fives.append(row)


def _finish(
    state: MarketState, start: int, window_us: int, partial: Partial | None, before: Before | None
) -> tuple[dict[str, Any] | None, Before | None]:
    after = before
    absent = 0
    if partial:
        first = before.last_id + 1 if before and before.last_id < partial.last_id else partial.first_id
        absent = 0 if partial.unnumbered else intervals.missing(state.seen, first, partial.last_id)
        is_newer = before is None or partial.last_id > before.last_id
        after = Before(partial.last_id, partial.close) if is_newer else before
    unproven = "" if after and _is_followed(state, after.last_id) else _doubt(state, start, start + window_us)
    return finish(start, window_us, partial, before=before, missing=absent, unproven=unproven), after


def _is_followed(state: MarketState, last_id: int) -> bool:
    # The next id is here: nothing can be missing between the two, whatever the feed did meanwhile.
    return any(first <= last_id + 1 <= last for first, last in state.seen)


def _doubt(state: MarketState, start: int, end: int) -> str:
    for silent_from, silent_to in state.silences:
        if silent_from < end and silent_to > start:
            return f"feed silent {_clock(silent_from)} to {_clock(silent_to)}"
    if state.alive_from_us > start:
        return f"feed began at {_clock(state.alive_from_us)}" if state.alive_from_us else "feed not seen alive"
    if state.ended and state.clock_us < end:
        return f"feed ended at {_clock(state.clock_us)}"
    return ""


def _clock(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _forget(state: MarketState) -> None:
    # A silence matters to windows that are not written yet, five-minute ones included; a digest while its trade could
    # still be taken for a new one of an open window.
    horizon = state.closed_us - FIVE_MINUTES_US
    state.silences = [silence for silence in state.silences if silence[1] > horizon][-MAX_SILENCES:]
    if state.digests:
        state.digests = {digest: at for digest, at in state.digests.items() if at >= horizon}
