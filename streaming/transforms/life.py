"""Signs of life of the feeds in a batch: trades as they streamed, and heartbeats. REST says nothing about a feed."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

SILENCE_US = 15_000_000
"""Feeds beat every 2 s of their own time: this long without a sign of life means trades may have been missed."""

MAX_SILENCES = 1_000
"""Bound of the silences that a market remembers; the oldest go first. They only matter to windows still open."""


class Life(NamedTuple):
    """A market's feed in a batch: first and last sign of life, silences between, and whether it said that it ended."""

    first: int
    last: int
    silences: list[tuple[int, int]]
    ended: bool

    def since(self, alive_us: int) -> list[tuple[int, int]]:
        """The silences, the one since `alive_us` (0: never) included."""
        is_silent = alive_us and self.first - alive_us > SILENCE_US
        return [(alive_us, self.first), *self.silences] if is_silent else self.silences


def signs_of_life(trades: pl.DataFrame, beats: pl.DataFrame) -> dict[str, Life]:
    """By market. `trades`: decode.TRADE_EVENTS, `beats`: decode.BEATS."""
    streamed = trades.filter(~pl.col("is_rest")).select("market", "event_time")
    signs = pl.concat([streamed, beats.select("market", "event_time")]).sort("market", "event_time")
    ended = set(beats.filter("ended")["market"].to_list())
    before = pl.col("event_time").shift().over("market")
    silences: dict[str, list[tuple[int, int]]] = {}
    silent = signs.with_columns(before=before).filter(pl.col("event_time") - pl.col("before") > SILENCE_US)
    for market, until, since in silent.iter_rows():
        silences.setdefault(market, []).append((since, until))
    bounds = signs.group_by("market").agg(
        pl.col("event_time").min().alias("first"), pl.col("event_time").max().alias("last")
    )
    return {
        market: Life(first, last, silences.get(market, []), market in ended)
        for market, first, last in bounds.iter_rows()
    }
