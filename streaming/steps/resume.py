"""What an earlier checkpoint had brought into the lake, for a query that starts from a new one.

A new checkpoint reads Kafka from its beginning: windows need their trades again. What the lake has is then left out of
what is written: records up to the last offset of their partition in their table (a crash may have left the last batch
in some tables only), and bars up to the last window of their market. Slices are cut where the known records end: a
trade behind them is late for every window that is written, whatever batch it comes in.
"""

from __future__ import annotations

import msgspec
import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import SILVER_BARS_1M, SILVER_BARS_5M, SILVER_PRICE_MEANS_5M
from streaming.sinks.delta import Lake
from streaming.transforms.decode import BRONZE, Records
from streaming.transforms.frames import MARKET, TIME
from streaming.transforms.market import Closed


class Resume(msgspec.Struct):
    """Where the lake stands.

    Attributes:
        offsets: last offset by bronze table and `topic/partition`.
        windows: last written window by table and market, in microseconds.
    """

    offsets: dict[str, dict[str, int]] = {}
    windows: dict[str, dict[str, int]] = {}

    @classmethod
    def of(cls, lake: Lake) -> Resume:
        """As the lake is now."""
        offsets = {table.name: _offsets(lake, table) for table in BRONZE}
        windows = (SILVER_BARS_1M, SILVER_BARS_5M, SILVER_PRICE_MEANS_5M)
        return cls(offsets, {table.name: _windows(lake, table) for table in windows})

    def pack(self) -> bytes:
        """To keep."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def unpack(cls, content: bytes) -> Resume:
        """As it was kept."""
        return msgspec.msgpack.decode(content, type=cls) if content else cls()

    def cut(self, records: Records) -> list[tuple[Records, bool]]:
        """The records in one part or two, and of each whether the lake knows them."""
        known = max((last.get(records.name, -1) for last in self.offsets.values()), default=-1)
        count = int((records.offsets <= known).sum())
        parts = [(records.part(0, count), True), (records.part(count, len(records.values)), False)]
        return [(part, is_known) for part, is_known in parts if part.values]

    def new_records(self, rows: pl.DataFrame, table: Table, partition: str) -> pl.DataFrame:
        """Bronze rows that the lake did not have; `partition` is `topic/partition`."""
        last = self.offsets.get(table.name, {}).get(partition, -1)
        return rows.filter(pl.col("kafka_offset") > last)

    def forget_late(self, market: str, closed: Closed) -> None:
        """Take known trades that come late again off the list: they are in a bar, or were listed."""
        written = self.windows.get(SILVER_BARS_1M.name, {}).get(market, -1)
        closed.late = [row for row in closed.late if row["window_start"] > written]

    def unwritten(self, rows: pl.DataFrame, table: Table) -> pl.DataFrame:
        """Bars of windows that the lake did not have."""
        written = self.windows.get(table.name)
        if not written or rows.is_empty():
            return rows
        last = pl.DataFrame({"market": written.keys(), "_last": written.values()}, schema_overrides={"_last": pl.Int64})
        known = rows.with_columns(MARKET).join(last, on="market", how="left", maintain_order="left")
        is_new = pl.col("_last").is_null() | (pl.col("window_start") > pl.col("_last").cast(TIME))
        return known.filter(is_new).select(rows.columns)


def _offsets(lake: Lake, table: Table) -> dict[str, int]:
    last = lake.read(table).group_by("kafka_topic", "kafka_partition").agg(pl.max("kafka_offset")).collect()
    return {f"{topic}/{partition}": offset for topic, partition, offset in last.iter_rows()}


def _windows(lake: Lake, table: Table) -> dict[str, int]:
    last = lake.read(table).group_by(MARKET).agg(pl.max("window_start").dt.epoch("us")).collect()
    return dict(last.iter_rows())
