"""Windows of markets over time: what is open, what closes, what came too late.

The state machine behind the stream's bars, and, given an hour at once, behind the batch's: both call `advance_all`.
A market is a function of its own records in the order of its Kafka partition, so other markets do not change its
output; they only share the arithmetic, which is done for all markets of a partition at once. Times are integers,
microseconds since 1970-01-01 UTC.

A market's clock is the greatest event time among its trades and its feed's heartbeats. A window closes when the
clock is `delay_us` past its end, or when the feed ended. Closed windows are written once and never again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from types import MappingProxyType
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
from streaming.transforms.lateness import with_lateness
from streaming.transforms.life import MAX_SILENCES, Life, signs_of_life
from streaming.transforms.lost import Lost, explained
from streaming.transforms.means import Minute, mean_row, with_minute
from streaming.transforms.unseen import seen_runs, unseen


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
    recent: list[Minute] = []
    late: dict[int, list[intervals.Interval]] = {}
    """Ids that came after their minute was written, by that minute, for the five minutes that are still open."""

    @property
    def has_traded(self) -> bool:
        """Whether a trade has opened a window."""
        return bool(self.closed_us or self.minutes)


class Signals(msgspec.Struct, frozen=True):
    """Signs of life of a market's feed in one batch: times of heartbeats, and whether one said that it ended."""

    times: npt.NDArray[np.int64]
    ended: bool = False


class Closed(msgspec.Struct):
    """What a batch finished: rows of bars, of sliding means, and of late trades (window_start, trade_count, first and
    last id)."""

    minutes: list[dict[str, Any]] = []
    fives: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []


ONE = "one"


def advance(
    state: MarketState, trades: pl.DataFrame, signals: Signals, *, delay_us: int, lost: Sequence[Lost] = ()
) -> Closed:
    """`advance_all` for one market: trades are bars.TRADE_SCHEMA."""
    beats = pl.DataFrame({"event_time": pl.Series(signals.times, dtype=pl.Int64)}).with_columns(
        market=pl.lit(ONE), ended=pl.lit(False)
    )
    if signals.ended:
        beats = beats.with_columns(ended=pl.int_range(pl.len()) == pl.len() - 1)
    named = trades.with_columns(market=pl.lit(ONE))
    return advance_all({ONE: state}, named, beats, delay_us=delay_us, lost={ONE: lost})[ONE]


def advance_all(
    states: Mapping[str, MarketState],
    trades: pl.DataFrame,
    beats: pl.DataFrame,
    *,
    delay_us: int,
    lost: Mapping[str, Sequence[Lost]] = MappingProxyType({}),
) -> dict[str, Closed]:
    """Take a batch of records of some markets into their states and return what it finished.

    Args:
        states: of every market that has records here; changed in place.
        trades: decode.TRADE_EVENTS; repeats allowed, in the batch and of earlier batches. With their order of arrival
            (lateness.ARRIVAL), where a batch ends does not matter; without it none is late for a window that is open
            at the batch's start.
        beats: decode.BEATS, of the markets' own partition.
        delay_us: how long a window stays open past its end.
        lost: by market, ids of which the venue said that it no longer has them.
    """
    closed = {market: Closed() for market in states}
    trades, beats = (_by_number(states, frame) for frame in (trades, beats))
    fresh = unseen(states, with_lateness(states, trades, beats, delay_us))
    on_time = _split_late(states, fresh, closed)
    for market, partials in fold_all(on_time).items():
        merge_into(states[market].minutes, partials)
    for market, runs in seen_runs(fresh).items():
        states[market].seen = intervals.union(states[market].seen, runs)
    _note_life(states, on_time, beats)
    for market, state in states.items():
        for start in list(_closing(state, delay_us)):
            _close_minute(state, start, closed[market], lost.get(market, ()))
        _forget(state)
    return closed


def _by_number(states: Mapping[str, MarketState], frame: pl.DataFrame) -> pl.DataFrame:
    # In the same order as by name, and sorted, joined and grouped in half the time.
    return frame.with_columns(pl.col("market").cast(pl.Enum(sorted(states))))


def _split_late(states: Mapping[str, MarketState], fresh: pl.DataFrame, closed: Mapping[str, Closed]) -> pl.DataFrame:
    late = fresh.filter("is_late")
    if late.is_empty():
        return fresh
    for (market, start), ids in _windows(late):
        state = states[market]
        state.late[start] = intervals.union(state.late.get(start, []), ids)
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
    return fresh.filter(~pl.col("is_late"))


def _windows(late: pl.DataFrame) -> Iterator[tuple[tuple[str, int], list[intervals.Interval]]]:
    # The numbered ids of each market's minutes.
    minute = pl.col("event_time") - pl.col("event_time") % MINUTE_US
    for (market, start), part in (
        late.with_columns(minute=minute).partition_by(["market", "minute"], as_dict=True).items()
    ):
        yield (str(market), int(start)), seen_runs(part).get(str(market), [])


def _note_life(states: Mapping[str, MarketState], trades: pl.DataFrame, beats: pl.DataFrame) -> None:
    life = signs_of_life(trades, beats)
    newest = dict(trades.group_by("market").agg(pl.col("event_time").max()).iter_rows())
    for market, state in states.items():
        state.clock_us = max(state.clock_us, newest.get(market, 0))
        if market in life:
            _live(state, life[market])


def _live(state: MarketState, life: Life) -> None:
    state.silences += life.since(state.alive_us)
    state.clock_us = max(state.clock_us, life.last)
    state.alive_from_us = state.alive_from_us or life.first
    state.alive_us = max(state.alive_us, life.last)
    state.ended = life.ended


def _closing(state: MarketState, delay_us: int) -> Iterator[int]:
    # Starts of the minutes that may close now, in order.
    if not state.has_traded:
        return
    limit = state.clock_us - state.clock_us % MINUTE_US + MINUTE_US if state.ended else state.clock_us - delay_us
    yield from range(state.closed_us or min(state.minutes), limit - MINUTE_US + 1, MINUTE_US)


def _close_minute(state: MarketState, start: int, closed: Closed, lost: Sequence[Lost]) -> None:
    partial, before = state.minutes.pop(start, None), state.before_minute
    absent = _absent(state, start, MINUTE_US, partial, before)
    row, state.before_minute = _finish(state, start, MINUTE_US, partial, before=before, lost=lost)
    end = start + MINUTE_US
    if row:
        closed.minutes.append(row)
        minute = Minute.of(row, partial, before, _size(absent))
        state.recent = with_minute(state.recent, minute)
        closed.means.append(mean_row(state.recent, end))
    five = start - start % FIVE_MINUTES_US
    if partial:
        merge_into(state.fives, {five: partial})
    state.closed_us = end
    feed_is_over = state.ended and state.clock_us < end
    if end == five + FIVE_MINUTES_US or feed_is_over:
        part = state.fives.pop(five, None)
        row, state.before_five = _finish(state, five, FIVE_MINUTES_US, part, before=state.before_five, lost=lost)
        if row:
            closed.fives.append(row)


def _absent(
    state: MarketState, start: int, window_us: int, partial: Partial | None, before: Before | None
) -> list[intervals.Interval]:
    # Ids between the last one before the window and the window's last that are not in it: not seen, or seen too late.
    if partial is None or partial.unnumbered:
        return []
    first = before.last_id + 1 if before and before.last_id < partial.last_id else partial.first_id
    span = [(first, partial.last_id)]
    late = [ids for minute, ids in state.late.items() if start <= minute < start + window_us]
    came_late = intervals.difference(span, intervals.difference(span, sorted(chain.from_iterable(late))))
    return intervals.union(intervals.difference(span, state.seen), came_late)


def _size(ids: list[intervals.Interval]) -> int:
    return sum(last - first + 1 for first, last in ids)


def _finish(
    state: MarketState,
    start: int,
    window_us: int,
    partial: Partial | None,
    *,
    before: Before | None,
    lost: Sequence[Lost],
) -> tuple[dict[str, Any] | None, Before | None]:
    after, absent = before, _absent(state, start, window_us, partial, before)
    if partial:
        is_newer = before is None or partial.last_id > before.last_id
        after = Before(partial.last_id, partial.close) if is_newer else before
    unproven = "" if after and _is_followed(state, after.last_id) else _doubt(state, start, start + window_us)
    gone = explained(absent, lost) if absent else ""
    row = finish(start, window_us, partial, before=before, missing=_size(absent), unproven=unproven, gone=gone)
    return row, after


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
    if state.late:
        # What came late for minutes of a five that is still open matters when that one closes.
        open_five = state.closed_us - state.closed_us % FIVE_MINUTES_US
        state.late = {minute: ids for minute, ids in state.late.items() if minute >= open_five}
    if state.digests:
        state.digests = {digest: at for digest, at in state.digests.items() if at >= horizon}
