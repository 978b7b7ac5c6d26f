"""What markets remember, out of the lake: for a new checkpoint on a Kafka that no longer has all records.

Where a topic begins behind what the lake has, the trades of windows that were open are in bronze and nowhere else.
They are folded as the stream would have folded them; Kafka's records then go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, SILVER_BARS_1M, SILVER_BARS_5M
from streaming.sinks.delta import Lake
from streaming.transforms.bars import FIVE_MINUTES_US
from streaming.transforms.frames import MARKET
from streaming.transforms.from_bronze import beat_events, trade_events
from streaming.transforms.intervals import union
from streaming.transforms.lateness import ARRIVAL
from streaming.transforms.lost import LostIds, with_statuses
from streaming.transforms.market import Closed, MarketState, advance_all

LOOK_BACK = timedelta(days=1)
"""How far before the newest day of bronze is looked: a market that was quiet for longer has no open window."""


class Refold:
    """Folds what bronze has of a partition before an offset.

    Args:
        lake: its streamed tables.
        written: last written window by table and market, in microseconds (resume.Resume.windows).
        delay_us: how long a window stays open past its end.
    """

    def __init__(self, lake: Lake, written: Mapping[str, Mapping[str, int]], delay_us: int) -> None:
        self._lake = lake
        self._delay_us = delay_us
        fives = written.get(SILVER_BARS_5M.name, {})
        # A whole five-minute window before the open one: bars know what came before them.
        self._begin = {market: start - FIVE_MINUTES_US for market, start in fives.items()}

    def markets(self, topic: str, partition: int, until: int) -> tuple[dict[str, MarketState], dict[str, Closed]]:
        """States of the partition's markets as they were before offset `until`, and the windows that this closed.

        Windows that were written before are among those: leave them out.
        """
        trades = self._trades(topic, partition, until)
        states = {market: MarketState(seen=self._seen(market)) for market in trades["market"].unique().sort()}
        beats = self._beats(topic, partition, until, list(states))
        closed = advance_all(states, trades, beats, delay_us=self._delay_us)
        return states, closed

    def lost(self, topic: str, partition: int, until: int) -> LostIds:
        """What feeds told of ids that never will come."""
        rows = self._before(BRONZE_FEED_STATUS, topic, partition, until).sort("kafka_offset").collect()
        return with_statuses({}, rows.iter_rows(named=True))

    def _trades(self, topic: str, partition: int, until: int) -> pl.DataFrame:
        events = trade_events(self._before(BRONZE_TRADES, topic, partition, until), [ARRIVAL])
        begin = pl.col("market").replace_strict(self._begin, default=0, return_dtype=pl.Int64)
        return events.filter(pl.col("event_time") >= begin).sort(ARRIVAL).collect()

    def _beats(self, topic: str, partition: int, until: int, markets: list[str]) -> pl.DataFrame:
        return beat_events(self._before(BRONZE_FEED_STATUS, topic, partition, until), markets, [ARRIVAL]).collect()

    def _seen(self, market: str) -> list[tuple[int, int]]:
        # Ids of whole windows before those that are folded again: a trade of theirs that is sent once more is known.
        is_before = pl.col("window_end").dt.epoch("us") <= self._begin.get(market, -1)
        bars = self._lake.read(SILVER_BARS_1M).filter((market == MARKET) & is_before & (pl.col("coverage_pct") == 100))
        ids = _recent(bars).select("first_trade_id", "last_trade_id").drop_nulls().collect()
        return union([], list(ids.iter_rows()))

    def _before(self, table: Table, topic: str, partition: int, until: int) -> pl.LazyFrame:
        is_here = (pl.col("kafka_topic") == topic) & (pl.col("kafka_partition") == partition)
        return _recent(self._lake.read(table).filter(is_here & (pl.col("kafka_offset") < until)))


def _recent(rows: pl.LazyFrame) -> pl.LazyFrame:
    newest = rows.select(pl.max("event_date")).collect().item()
    return rows.filter(pl.col("event_date") >= newest - LOOK_BACK) if newest else rows
