"""What the queries share: how one is started, and the stateful operator over a market's records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery
from pyspark.sql.streaming.state import GroupState, GroupStateTimeout

from crypto_intel.contracts.columns import Column as ContractColumn
from streaming.settings import StreamingSettings
from streaming.spark import read_kafka
from streaming.transforms.decode import decode, market_events

if TYPE_CHECKING:
    import pandas as pd

OUT_SCHEMA = "kind string, market string, row string"
"""What the stateful operators emit: a few finished rows as JSON, which keeps integers and doubles exact and lets one
operator emit rows of several tables."""

STATE_SCHEMA = "state binary"

Step = Callable[[str, bytes | None, pl.DataFrame], tuple[bytes, list[tuple[str, dict[str, Any]]]]]
"""(market, state or None, its events of this batch) -> (new state, [(kind, row)])."""


def start(
    frame: DataFrame,
    name: str,
    settings: StreamingSettings,
    *,
    every_s: float,
    sink: Callable[[DataFrame, int], None],
) -> StreamingQuery:
    """Start a query whose batches go to `sink`; its checkpoint is <checkpoints>/<name>."""
    return (
        frame.writeStream.queryName(name)
        .outputMode("append")
        .option("checkpointLocation", f"{settings.checkpoint_root}/{name}")
        .trigger(processingTime=f"{int(every_s * 1000)} milliseconds")
        .foreachBatch(sink)
        .start()
    )


def per_market(session: SparkSession, settings: StreamingSettings, step: Step) -> DataFrame:
    """Rows (OUT_SCHEMA) that `step` emits for each market of the trades topic, its state kept by Spark."""
    decoded = decode(read_kafka(session, settings, [settings.topics.trades]))
    grouped = market_events(decoded).groupBy("market")
    return grouped.applyInPandasWithState(
        _stateful(step), OUT_SCHEMA, STATE_SCHEMA, "append", GroupStateTimeout.NoTimeout
    )


def _stateful(step: Step) -> Callable[..., Iterator[pd.DataFrame]]:
    def update(key: tuple[str], chunks: Iterable[pd.DataFrame], state: GroupState) -> Iterator[pd.DataFrame]:
        import pandas as pd  # noqa: PLC0415 - in Spark's Python worker only; the driver never needs it

        market = str(key[0])
        events = pl.concat([pl.from_pandas(chunk) for chunk in chunks])
        new_state, rows = step(market, state.get[0] if state.exists else None, events)
        state.update((new_state,))
        if rows:
            yield pd.DataFrame(
                {
                    "kind": [kind for kind, _ in rows],
                    "market": [market] * len(rows),
                    "row": [msgspec.json.encode(row).decode() for _, row in rows],
                }
            )

    return update


def rows_of(emitted: DataFrame, kind: str, columns: Iterable[ContractColumn]) -> DataFrame:
    """The emitted rows of a kind as typed columns. Times travel as microseconds; venue and symbol as the market."""
    wanted = list(columns)
    ddl = ", ".join(f"{c.name} {'bigint' if c.type == 'timestamp' else c.type}" for c in wanted)
    parsed = emitted.where(F.col("kind") == kind).withColumn("r", F.from_json("row", ddl))
    return parsed.select(*[_column(c).alias(c.name) for c in wanted])


def _column(column: ContractColumn) -> Column:
    if column.name == "venue":
        return F.split_part("market", F.lit(":"), F.lit(1))
    if column.name == "symbol":
        return F.split_part("market", F.lit(":"), F.lit(2))
    field = F.col(f"r.{column.name}")
    return F.timestamp_micros(field) if column.type == "timestamp" else field
