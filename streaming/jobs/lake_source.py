"""The lake's tables as a stream that Spark reads: versions are its offsets, rows of new versions its batches.

Spark's own Delta source plans each batch with several jobs, and a second of a core; this one reads the commits' JSON
and the files that they added. Registered as `crypto_intel_lake`; options: `lake`, `rows` (a name of ROWS), `topic`.

Spark asks for the schema, for offsets and for plans in a process each, which imports this module and ends when the
query ends: what only reading needs is imported there, in workers that have it already (worker_daemon.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, SILVER_BARS_1M
from streaming.sinks.opened import OpenTables
from streaming.transforms.join_sides import BARS_SCHEMA, NEWS_SCHEMA

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

FORMAT = "crypto_intel_lake"


class Rows(NamedTuple):
    """A stream: its schema, the tables in the order in which their versions are looked up, and what becomes of rows."""

    schema: str
    tables: tuple[Table, ...]
    select: Callable[[dict[str, pl.LazyFrame], str], pl.DataFrame]


def _bars(added: dict[str, pl.LazyFrame], _: str) -> pl.DataFrame:
    from streaming.transforms.bar_news import bars_by_base  # noqa: PLC0415 - in the worker

    return bars_by_base(added[SILVER_BARS_1M.name])


def _news(added: dict[str, pl.LazyFrame], topic: str) -> pl.DataFrame:
    from streaming.transforms.bar_news import news_by_asset  # noqa: PLC0415 - in the worker

    return news_by_asset(added[BRONZE_NEWS.name], added[BRONZE_FEED_STATUS.name], topic)


ROWS = {
    "bars": Rows(BARS_SCHEMA, (SILVER_BARS_1M,), _bars),
    # Heartbeats first: news that they vouch for is in the lake before them, so it is never newer than this look at it.
    "news": Rows(NEWS_SCHEMA, (BRONZE_FEED_STATUS, BRONZE_NEWS), _news),
}


class LakeSource(DataSource):
    """The data source."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return FORMAT

    def schema(self) -> str:
        """Of the rows asked for."""
        return ROWS[self.options["rows"]].schema

    def streamReader(self, schema: Any) -> LakeReader:  # noqa: N802 - Spark's names
        """Reads versions."""
        return LakeReader(dict(self.options))


class Versions(InputPartition):
    """Versions of each table behind `start` up to `end`."""

    def __init__(self, start: dict[str, int], end: dict[str, int]) -> None:
        self.start = start
        self.end = end


class LakeReader(DataSourceStreamReader):
    """Reads versions. Offsets: the last version read of each table, by `layer/table`; -1 before the first."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options  # nothing else: Spark pickles the reader
        self._cached: OpenTables | None = None

    @property
    def _rows(self) -> Rows:
        return ROWS[self._options["rows"]]

    @property
    def _tables(self) -> OpenTables:
        if self._cached is None:
            self._cached = OpenTables(self._options["lake"])
        return self._cached

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's name
        """Before everything."""
        return {_name(table): -1 for table in self._rows.tables}

    def latestOffset(self, *_: object) -> dict[str, int]:  # noqa: N802 - Spark's name
        """As the tables are now."""
        return {_name(table): self._tables.newest(table).version() for table in self._rows.tables}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        """One: batches are small."""
        return [Versions(start, end)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows."""
        from streaming.sinks.delta import Lake, kept_files  # noqa: PLC0415 - in the worker

        assert isinstance(partition, Versions)  # noqa: S101 - what `partitions` gave
        lake = Lake(self._options["lake"])
        added = {
            table.name: lake.added(table, partition.start[_name(table)], partition.end[_name(table)])
            for table in self._rows.tables
        }
        with kept_files(map(_name, self._rows.tables)):
            rows = self._rows.select(added, self._options["topic"])
        if rows.height:
            yield from _plain(rows.to_arrow()).to_batches()


def _name(table: Table) -> str:
    return f"{table.layer}/{table.name}"


def _plain(table: pa.Table) -> pa.Table:
    # Spark takes neither large strings nor times with another zone than its session's.
    import pyarrow as pa  # noqa: PLC0415 - in the worker

    fields = [f.with_type(pa.string()) if pa.types.is_large_string(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def read_rows(session: SparkSession, lake: str, rows: str, topic: str) -> Any:
    """A stream of ROWS as a DataFrame."""
    session.dataSource.register(LakeSource)
    return session.readStream.format(FORMAT).option("lake", lake).option("rows", rows).option("topic", topic).load()
