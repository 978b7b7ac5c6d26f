"""Append to the lake's streamed Delta tables: files by whoever has the rows, commits by the application alone.

Guarantee: effectively once. A batch is one Delta commit per table that carries (application, batch id); a commit that
the table already has is skipped, so a batch that is repeated after a crash changes nothing. The application is the
query's id, which lives in its checkpoint. Files that a crashed batch left behind are in no commit, so no reader sees
them. One process writes a table: the streaming application holds a lock file per table for as long as it runs.

Rows are written as Parquet where they are decoded, in Spark's Python workers, and committed by delta-rs in the driver:
a commit takes milliseconds, where Spark's own takes a second of planning and jobs on an idle laptop's core.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import msgspec
import polars as pl
import structlog
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from crypto_intel.contracts.columns import Table
from streaming import failpoints
from streaming.errors import FatalError
from streaming.sinks.objects import get, put
from streaming.sinks.opened import OpenTables
from streaming.transforms.frames import TIME, schema_of

if TYPE_CHECKING:  # Spark's workers write files with this module: they need neither
    from pyspark.sql import DataFrame

    from streaming.sinks.metrics import SinkMetrics

TABLE_PROPERTIES = {
    "delta.dataSkippingNumIndexedCols": "12",
    # A checkpoint of the log every 30 commits, so that a reader starts from it and not from hundreds of small files.
    "delta.checkpointInterval": "30",
    # Delta's own default, said here since it is a promise: so long older versions can be read, and a query be behind.
    "delta.deletedFileRetentionDuration": "interval 7 days",
}

COMPACT_AFTER = 64
"""Commits after which a table's small files of the day become one."""

_ZSTD_LEVEL = 2
"""Of trades as small as the usual 3 makes them, for two thirds of its time."""

log = structlog.get_logger(__name__)

_MEASURED = (pl.Int64, pl.Int32, TIME)
"""Types whose least and greatest value go into the log, so that readers skip files."""


class DataFile(msgspec.Struct, frozen=True):
    """A file that was written and not yet committed. `stats` is Delta's JSON."""

    path: str
    size: int
    partition: dict[str, str]
    rows: int
    stats: str


def ensure_table(table: Table, lake: str) -> None:
    """Create the table with its contract's columns where it is missing; readers may then start in any order.

    Raises:
        FatalError: the table is there and was made by a version whose contract lacked columns of ours.
    """
    path = table.path(lake)
    with contextlib.suppress(CommitFailedError):  # another process makes it at this moment
        DeltaTable.create(
            path,
            schema=Schema.from_arrow(table.arrow_schema()),
            mode="ignore",
            partition_by=list(table.partition_by),
            name=table.name,
            description=table.doc,
            configuration=TABLE_PROPERTIES,
        )
    has = {field.name for field in DeltaTable(path).schema().fields}
    if absent := [name for name in table.column_names if name not in has]:
        raise FatalError(
            f"{table.full_name} is of an earlier version and lacks {', '.join(absent)}: move {path} away, and start "
            "the query that writes it from a new checkpoint: `crypto-intel rebuild QUERY`"
        )


def write_files(rows: pl.DataFrame, table: Table, lake: str) -> list[DataFile]:
    """Write rows as Parquet, a file per partition value; nobody sees them before `commit`.

    Args:
        rows: columns of the contract, in order.
    """
    (column,) = table.partition_by
    return [
        _write_file(part.drop(column), {column: str(value)}, table, lake)
        for (value,), part in rows.partition_by(column, as_dict=True).items()
    ]


def _write_file(rows: pl.DataFrame, partition: dict[str, str], table: Table, lake: str) -> DataFile:
    folder = "/".join(f"{name}={quote(value)}" for name, value in partition.items())
    path = f"{folder}/{uuid.uuid4().hex}.parquet"
    content = io.BytesIO()
    rows.write_parquet(content, compression="zstd", compression_level=_ZSTD_LEVEL)
    put(f"{table.path(lake)}/{path}", content.getvalue())
    return DataFile(path, content.tell(), partition, rows.height, _stats(rows))


def _stats(rows: pl.DataFrame) -> str:
    # https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
    measured = [name for name, dtype in rows.schema.items() if dtype in _MEASURED]
    least, greatest = (rows.select(getattr(pl.col(measured), of)()).row(0, named=True) for of in ("min", "max"))
    return json.dumps(
        {
            "numRecords": rows.height,
            "minValues": {name: _stat(value) for name, value in least.items() if value is not None},
            "maxValues": {name: _stat(value) for name, value in greatest.items() if value is not None},
            "nullCount": {name: rows[name].null_count() for name in measured},
        }
    )


def _stat(value: int | datetime) -> int | str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


class Lake:
    """The streamed tables as their one writer sees them; each query appends from its own thread.

    Args:
        root: folder or s3:// URI.
        metrics: told of commits.
    """

    def __init__(self, root: str, metrics: SinkMetrics | None = None) -> None:
        self.root = root
        self._open = OpenTables(root).newest
        self._metrics = metrics
        self._commits: dict[Table, int] = {}
        self._cleared: dict[Table, int] = {}

    def commit(self, table: Table, files: Sequence[DataFile], *, application: str, batch_id: int) -> None:
        """Make a batch's files part of the table; a repeated batch changes nothing.

        Args:
            application: the query's id; with the table's name it is Delta's transaction application.

        Raises:
            DeltaError: the table can not be written.
        """
        if not files:
            return
        at = self._open(table)
        name = f"{application}:{table.full_name}"
        done = at.transaction_version(name)
        if done is not None and done >= batch_id:
            return
        version, now_ms = at.version(), time.time_ns() // 1_000_000
        with self._metrics.commit("delta") if self._metrics else contextlib.nullcontext():
            at.create_write_transaction(
                [AddAction(f.path, f.size, f.partition, now_ms, data_change=True, stats=f.stats) for f in files],
                "append",
                at.schema(),
                partition_by=list(table.partition_by),
                commit_properties=CommitProperties(app_transactions=[Transaction(name, batch_id)]),
            )
        if self._metrics:
            self._metrics.wrote("delta", table.full_name, sum(file.rows for file in files))
        # Counted by versions at first: an application that is often started again compacts as well.
        self._commits[table] = self._commits.get(table, version % COMPACT_AFTER) + 1
        failpoints.reach(f"after:{table.full_name}")

    def append(self, rows: pl.DataFrame, table: Table, *, application: str, batch_id: int) -> None:
        """Write and commit rows that the driver has."""
        if rows.height:
            self.commit(table, write_files(rows, table, self.root), application=application, batch_id=batch_id)

    def compact(self) -> None:
        """Turn the newest day's small files into one, in tables that have had many commits since the last time.

        Once a day, and at the first time, files that no version of the last seven days has are deleted there.
        """
        for table, commits in list(self._commits.items()):
            if commits >= COMPACT_AFTER:
                self._commits[table] = 0
                at = self._open(table)
                (column,) = table.partition_by
                newest = max(str(part[column]) for part in at.partitions())
                at.optimize.compact(partition_filters=[(column, "=", newest)])
                self._clear(table, at)

    def _clear(self, table: Table, at: DeltaTable) -> None:
        # All files of the folder are looked at, so not each time. What a crashed batch left in no commit goes as well.
        today = int(time.time() // 86_400)
        if self._cleared.get(table) != today:
            self._cleared[table] = today
            deleted = at.vacuum(dry_run=False, full=True)
            log.info("files of old versions deleted", table=table.full_name, count=len(deleted))

    def read(self, table: Table, version: int | None = None) -> pl.LazyFrame:
        """The table as it is now, or as it was at a version."""
        return pl.scan_delta(self._open(table) if version is None else table.path(self.root), version=version)

    def version(self, table: Table) -> int:
        """The table's newest version."""
        return self._open(table).version()

    def added(self, table: Table, after: int, until: int) -> pl.LazyFrame:
        """Rows that versions behind `after` up to `until` added; all of `until`'s rows where `after` is -1.

        Raises:
            FatalError: the log of these versions was cleaned away.
        """
        if after < 0:
            return pl.scan_delta(DeltaTable(table.path(self.root), version=until))
        files = [file for version in range(after + 1, until + 1) for file in self._added_files(table, version)]
        empty: pl.LazyFrame = pl.DataFrame(schema=schema_of(table)).lazy()
        return pl.concat([empty, *(self._scan(table, path, day) for path, day in files)])

    def _added_files(self, table: Table, version: int) -> list[tuple[str, str]]:
        content = get(f"{table.path(self.root)}/_delta_log/{version:020d}.json")
        if content is None:
            raise FatalError(
                f"version {version} of {table.full_name} is no longer in its log: start from a new checkpoint"
            )
        adds = [action["add"] for line in content.splitlines() if "add" in (action := json.loads(line))]
        (column,) = table.partition_by
        return [(unquote(add["path"]), add["partitionValues"][column]) for add in adds if add["dataChange"]]

    def _scan(self, table: Table, path: str, day: str) -> pl.LazyFrame:
        (column,) = table.partition_by
        rows = pl.scan_parquet(f"{table.path(self.root)}/{path}", hive_partitioning=False)
        return rows.with_columns(pl.lit(day).str.to_date().alias(column)).select(table.column_names)


@contextlib.contextmanager
def kept_files(tables: Iterable[str]) -> Iterator[None]:
    """Reads rows that versions added, while their files are kept.

    Raises:
        FatalError: a file was deleted since, as one is seven days after its rows were moved into a larger one.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FatalError(
            f"{', '.join(tables)} no longer has the files of versions as old as this query's: start it from a new "
            f"checkpoint, `crypto-intel rebuild QUERY` ({error})"
        ) from error


def query_id(batch: DataFrame) -> str:
    """Id of the query whose foreachBatch is running: constant for a checkpoint, new for a new one.

    Raises:
        FatalError: not called from foreachBatch.
    """
    found = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if not found:
        raise FatalError("no streaming query is running here; its id is what makes a repeated batch harmless")
    return found


@contextlib.contextmanager
def single_writer(tables: list[Table], lake: str) -> Iterator[None]:
    """Hold the lock of each table while the application runs; local lakes only.

    On object stores the commit protocol guards the tables; on local disks two engines of different makes do not keep
    each other from replacing a commit.

    Raises:
        FatalError: another process holds a table.
    """
    if "://" in lake:
        yield
        return
    with contextlib.ExitStack() as stack:
        for table in tables:
            path = Path(table.path(lake)).with_name(f".{table.name}.lock")
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = stack.enter_context(path.open("w"))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FatalError(f"another process writes {table.full_name}; stop it first") from error
        yield
