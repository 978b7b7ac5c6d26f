"""What an earlier checkpoint had brought into the lake, for a query that starts from a new one.

A new checkpoint reads Kafka from its beginning: windows need their trades again. What the lake has is then left out of
what is written: records up to the last offset of their partition, and bars up to the last window of their market.
"""

from __future__ import annotations

import msgspec
import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import SILVER_BARS_1M, SILVER_BARS_5M, SILVER_LATE_ARRIVALS
from streaming.sinks.delta import Lake
from streaming.transforms.decode import BRONZE
from streaming.transforms.frames import TIME


class Resume(msgspec.Struct):
    """Where the lake stands.

    Attributes:
        offsets: last offset in bronze by `topic/partition`.
        windows: last written window by table and market, in microseconds.
    """

    offsets: dict[str, int] = {}
    windows: dict[str, dict[str, int]] = {}

    @classmethod
    def of(cls, lake: Lake) -> Resume:
        """As the lake is now."""
        return cls(_offsets(lake), {table.name: _windows(lake, table) for table in (SILVER_BARS_1M, SILVER_BARS_5M)})

    def pack(self) -> bytes:
        """To keep."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def unpack(cls, content: bytes) -> Resume:
        """As it was kept."""
        return msgspec.msgpack.decode(content, type=cls) if content else cls()

    def unwritten(self, rows: pl.DataFrame, table: Table) -> pl.DataFrame:
        """Rows of windows that the lake did not have. Late arrivals are those of windows in bars_1m."""
        name = SILVER_BARS_1M.name if table is SILVER_LATE_ARRIVALS else table.name
        written = self.windows.get(name)
        if not written or rows.is_empty():
            return rows
        last = pl.DataFrame({"market": written.keys(), "_last": written.values()}, schema_overrides={"_last": pl.Int64})
        market = pl.concat_str("venue", "symbol", separator=":").alias("market")
        known = rows.with_columns(market).join(last, on="market", how="left", maintain_order="left")
        is_new = pl.col("_last").is_null() | (pl.col("window_start") > pl.col("_last").cast(TIME))
        return known.filter(is_new).select(rows.columns)


def _offsets(lake: Lake) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in BRONZE:
        last = lake.read(table).group_by("kafka_topic", "kafka_partition").agg(pl.max("kafka_offset")).collect()
        for topic, partition, offset in last.iter_rows():
            name = f"{topic}/{partition}"
            found[name] = max(found.get(name, -1), offset)
    return found


def _windows(lake: Lake, table: Table) -> dict[str, int]:
    market = pl.concat_str("venue", "symbol", separator=":").alias("market")
    last = lake.read(table).group_by(market).agg(pl.max("window_start").dt.epoch("us")).collect()
    return dict(last.iter_rows())
