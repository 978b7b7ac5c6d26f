"""One market's windows over time: what is open, what closes, what came too late.

The state machine behind the stream's bars, and, given an hour at once, behind the batch's: both call `advance`.
It is a function of the market's own records in the order of its Kafka partition, so neither other markets nor the
size of a batch change its output. Times are integers, microseconds since 1970-01-01 UTC.

The market's clock is the greatest event time among its trades and its feed's heartbeats. A window closes when the
clock is `delay_us` past its end, or when the feed ended. Closed windows are written once and never again.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    fold,
    merge_into,
)

SILENCE_US = 15_000_000
"""Feeds beat every 2 s of their own time: this long without a sign of life means trades may have been missed."""

MAX_SILENCES = 1_000
"""Bound of the silences that a market remembers; the oldest go first. They only matter to windows still open."""


class MarketState(msgspec.Struct, array_like=True):
    """What a market must remember between batches; small, however many trades there were."""

    partition: int = -1
    clock_us: int = 0
    alive_from_us: int = 0
    alive_us: int = 0
    ended: bool = False
    closed_us: int = 0
    seen: list[tuple[int, int]] = []
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


def advance(state: MarketState, trades: pl.DataFrame, signals: Signals, *, delay_us: int) -> Closed:
    """Take a batch of a market's records into its state and return what it finished.

    Args:
        state: changed in place.
        trades: bars.TRADE_SCHEMA; repeats allowed, in the batch and of earlier batches.
        signals: heartbeats of the market's own partition.
        delay_us: how long a window stays open past its end.
    """
    closed = Closed()
    fresh = _unseen(state, trades)
    on_time = _split_late(state, fresh, closed)
    merge_into(state.minutes, fold(on_time))
    state.seen = intervals.union(state.seen, intervals.from_ids(fresh["trade_id"].to_numpy()))
    _note_life(state, on_time, signals)
    for start in list(_closing(state, delay_us)):
        _close_minute(state, start, closed)
    _forget(state)
    return closed


def _unseen(state: MarketState, trades: pl.DataFrame) -> pl.DataFrame:
    # The first record of an id counts; a streamed one before one from REST, whichever came first.
    known = intervals.contains(state.seen, trades["trade_id"].to_numpy())
    return trades.filter(~pl.Series(known)).sort("trade_id", "is_rest").unique("trade_id", keep="first")


def _split_late(state: MarketState, fresh: pl.DataFrame, closed: Closed) -> pl.DataFrame:
    late = fresh.filter(pl.col("event_time") < state.closed_us)
    if late.is_empty():
        return fresh
    for start, partial in sorted(fold(late).items()):
        closed.late.append(
            {
                "window_start": start,
                "trade_count": partial.count,
                "first_trade_id": partial.first_id,
                "last_trade_id": partial.last_id,
            }
        )
    return fresh.filter(pl.col("event_time") >= state.closed_us)


def _note_life(state: MarketState, trades: pl.DataFrame, signals: Signals) -> None:
    streamed = trades.filter(~pl.col("is_rest"))["event_time"].to_numpy()
    times = np.sort(np.concatenate((streamed, signals.times)))
    if trades.height:
        state.clock_us = max(state.clock_us, int(trades["event_time"].max()))  # type: ignore[arg-type]
    if times.size:
        state.clock_us = max(state.clock_us, int(times[-1]))
        state.alive_from_us = state.alive_from_us or int(times[0])
        previous = np.concatenate(([state.alive_us or times[0]], times[:-1]))
        for at in np.flatnonzero(times - previous > SILENCE_US):
            state.silences.append((int(previous[at]), int(times[at])))
        state.alive_us = max(state.alive_us, int(times[-1]))
    state.ended = signals.ended or (state.ended and not times.size)


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
        absent = intervals.missing(state.seen, first, partial.last_id)
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
    # A silence matters to windows that are not written yet, five-minute ones included.
    horizon = state.closed_us - FIVE_MINUTES_US
    state.silences = [silence for silence in state.silences if silence[1] > horizon][-MAX_SILENCES:]
