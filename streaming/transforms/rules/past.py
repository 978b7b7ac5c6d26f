"""When rules would have fired on the past, by what was known at each moment of it.

Records go through the same fold as on the stream, in the order in which Kafka got them: ids that came late were missing
until then, a repair helps from its arrival on, and an article counts from the step after it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from streaming.transforms.bars import MINUTE_US
from streaming.transforms.live import LiveState, advance_all
from streaming.transforms.rules.book import Book
from streaming.transforms.rules.fired import Fired
from streaming.transforms.rules.market import NewsItem

ORIGIN = ("kafka_partition", "kafka_offset", "arrived_us")
"""Columns beside those of trades and heartbeats: place and time (microseconds) of the record in Kafka."""


class Told(NamedTuple):
    """A rule that would have fired: on which market, and when that could have been known (Kafka's time)."""

    market: str
    fired: Fired
    known_us: int


class Heard(NamedTuple):
    """An article, and when it came (Kafka's time, microseconds)."""

    arrived_us: int
    item: NewsItem


def replay(book: Book, trades: pl.DataFrame, beats: pl.DataFrame, news: Sequence[Heard] = ()) -> Iterator[Told]:
    """What the rules would have said, partition by partition.

    Args:
        trades: decode.TRADE_EVENTS and ORIGIN.
        beats: decode.BEATS and ORIGIN.
        news: what came.
    """
    arrived = pl.concat([trades["arrived_us"], beats["arrived_us"]])
    if arrived.is_empty():
        return
    repairs = trades.filter("is_rest")["arrived_us"] // 1_000_000 * 1_000_000
    bounds = _bounds(arrived, [*repairs.unique(), *(one.arrived_us for one in news)])
    trade_steps, beat_steps = _steps(trades, bounds), _steps(beats, bounds)
    states: dict[int, dict[str, LiveState]] = {}
    for partition, step in sorted({*trade_steps, *beat_steps}):
        begin, end = bounds[step - 1] if step else 0, int(bounds[min(step, len(bounds) - 1)])
        told = advance_all(
            states.setdefault(partition, {}),
            trade_steps.get((partition, step), trades.clear()),
            beat_steps.get((partition, step), beats.clear()),
            book,
            _known(news, int(begin), book.horizon_s),
        )
        yield from (Told(market, fired, end) for market, one in told.items() for fired in one.fired)


def _bounds(arrived: pl.Series, also: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    # A step a minute, since rules do not mind how records are cut; and one where an article or a repair came, which
    # they do.
    first, last = int(arrived.min()), int(arrived.max())  # type: ignore[arg-type]
    minutes = np.arange(first + MINUTE_US, last + 2 * MINUTE_US, MINUTE_US, dtype=np.int64)
    return np.unique(np.concatenate([minutes, np.array(also, dtype=np.int64)]))


def _steps(
    records: pl.DataFrame, bounds: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> dict[tuple[int, int], pl.DataFrame]:
    # Kafka's times may go back a little within a partition, its order does not.
    ordered = records.sort("kafka_partition", "kafka_offset").with_columns(
        pl.col("arrived_us").cum_max().over("kafka_partition")
    )
    step = pl.Series("step", np.searchsorted(bounds, ordered["arrived_us"].to_numpy(), side="right"), dtype=pl.Int64)
    parts = ordered.with_columns(step).partition_by("kafka_partition", "step", maintain_order=True, as_dict=True)
    return {(int(keys[0]), int(keys[1])): part for keys, part in parts.items()}


def _known(news: Sequence[Heard], before_us: int, horizon_s: int) -> list[NewsItem]:
    since = before_us - 2 * horizon_s * 1_000_000
    known = {one.item.article_id: one.item for one in reversed(news) if one.arrived_us <= before_us}
    return sorted((item for item in known.values() if item.at >= since), key=lambda item: item.at)
