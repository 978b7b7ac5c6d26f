"""Which trades came after their window was written, judged record by record in the order of the Kafka partition.

A batch may hold the records that close a window and others of that window behind them. Whether those are late must not
depend on where a batch ends, so each trade is held against the clock as it stood when the trade came. Times are
integers, microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from streaming.transforms.bars import MINUTE_US

ARRIVAL = "kafka_offset"
"""Trades and heartbeats that have this column are in the order of arrival by it; without it, a batch has no order."""


class Clocked(Protocol):
    """What a market's state must hold."""

    clock_us: int
    closed_us: int

    @property
    def has_traded(self) -> bool:
        """Whether a trade has opened a window."""


def with_lateness(
    states: Mapping[str, Clocked], trades: pl.DataFrame, beats: pl.DataFrame, delay_us: int
) -> pl.DataFrame:
    """The trades, with `is_late`.

    A window is written when its market's clock, the greatest event time before the record, is `delay_us` past its end,
    or when the feed said that it ended. Before a market's first trade no window is open, so none is written.

    Args:
        states: of each market among the trades.
        trades: decode.TRADE_EVENTS, and ARRIVAL where they arrived one by one.
        beats: decode.BEATS, and ARRIVAL.
    """
    known = _known(states, trades.schema["market"])
    if ARRIVAL not in trades.columns or _is_none_late(known, trades, beats, delay_us):
        written = trades.join(known, on="market", how="left", maintain_order="left")["_written"]
        return trades.with_columns(is_late=trades["event_time"] < written)
    records = _in_order(trades, beats).join(known, on="market", how="left", maintain_order="left")
    judged = _shut(records, delay_us).filter(pl.col("_row").is_not_null()).sort("_row")
    return trades.with_columns(is_late=trades["event_time"] < judged["_shut"])


def _known(states: Mapping[str, Clocked], market: pl.DataType) -> pl.DataFrame:
    rows = [(market, state.closed_us, state.clock_us, state.has_traded) for market, state in states.items()]
    schema: dict[str, Any] = {"market": market, "_written": pl.Int64, "_clock": pl.Int64, "_traded": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _is_none_late(known: pl.DataFrame, trades: pl.DataFrame, beats: pl.DataFrame, delay_us: int) -> bool:
    # Mostly a batch is shorter than a window and closes none that it also has trades of.
    if beats["ended"].any():
        return False
    signs = pl.concat([trades.select("market", "event_time"), beats.select("market", "event_time")])
    newest = signs.group_by("market").agg(pl.col("event_time").max().alias("_newest"))
    oldest = trades.group_by("market").agg(pl.col("event_time").min().alias("_oldest"))
    bounds = oldest.join(newest, on="market").join(known, on="market")
    limit = pl.max_horizontal("_newest", "_clock") - delay_us
    return bool(bounds.select((pl.col("_oldest") >= limit - limit % MINUTE_US).all()).item())


def _in_order(trades: pl.DataFrame, beats: pl.DataFrame) -> pl.DataFrame:
    columns = ["market", "event_time", ARRIVAL]
    mine = trades.select(*columns, ended=pl.lit(False), _row=pl.int_range(pl.len(), dtype=pl.Int64))
    theirs = beats.select(*columns, "ended", _row=pl.lit(None, pl.Int64))
    return pl.concat([mine, theirs]).sort(ARRIVAL, maintain_order=True)


def _shut(records: pl.DataFrame, delay_us: int) -> pl.DataFrame:
    # Up to where windows are written when each record comes: `_shut`.
    has_traded = pl.col("_traded") | (pl.col("_row").is_not_null().cum_max().over("market"))
    clock = pl.max_horizontal(pl.col("event_time").cum_max().over("market"), "_clock")
    clocked = records.with_columns(_now=clock, _has_traded=has_traded)
    at_end = pl.col("_now") - pl.col("_now") % MINUTE_US + MINUTE_US
    limit = pl.when("ended").then(at_end).otherwise(pl.col("_now") - delay_us)
    limited = clocked.with_columns(_limit=pl.when("_has_traded").then(limit).otherwise(0))
    before = pl.col("_limit").cum_max().shift(1).over("market")
    at_start = pl.when("_traded").then(pl.col("_clock") - delay_us).otherwise(0)
    reached = pl.coalesce(before, at_start)
    return limited.with_columns(_shut=pl.max_horizontal(reached - reached % MINUTE_US, "_written"))
