"""Append to the lake's Delta tables from a stream.

Guarantee: effectively once. Each batch is one Delta commit per table that carries (application, batch id); Delta
skips a commit that it already has, so a batch that is repeated after a crash changes nothing. The application is the
query's id, which lives in its checkpoint: a new checkpoint is a new application, and its first records are told from
earlier ones by offset or trade id, not by batch. One process writes a table: the Spark application holds a lock file
per table for as long as it runs.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from deltalake import DeltaTable, Schema
from pyspark.sql import DataFrame

from crypto_intel.contracts.columns import Table
from streaming.errors import FatalError

TABLE_PROPERTIES = {
    # Statistics on the first columns are enough to skip files by day and time.
    "delta.dataSkippingNumIndexedCols": "12",
    # A checkpoint of the log every 30 commits, not every 10: each costs a job of its own in the batch that writes it.
    "delta.checkpointInterval": "30",
}


def ensure_table(table: Table, lake: str) -> None:
    """Create the table with its contract's columns where it is missing; readers may then start in any order.

    Through delta-rs: the same log as Spark would write, without 0.8 s of JVM a table.
    """
    DeltaTable.create(
        table.path(lake),
        schema=Schema.from_arrow(table.arrow_schema()),
        mode="ignore",
        partition_by=list(table.partition_by),
        name=table.name,
        description=table.doc,
        configuration=TABLE_PROPERTIES,
    )


def append(rows: DataFrame, table: Table, lake: str, *, application: str, batch_id: int) -> None:
    """Append a batch's rows; a repeated batch changes nothing.

    Args:
        rows: columns of the contract, in order.
        application: the query's id (query_id); with the table's name it is Delta's transaction application.
    """
    (
        rows.coalesce(1)
        .write.format("delta")
        .mode("append")
        .option("txnAppId", f"{application}:{table.full_name}")
        .option("txnVersion", batch_id)
        .save(table.path(lake))
    )


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

    On object stores Delta's own commit protocol guards the tables, on local disks nothing does: Spark commits by
    check and rename, which silently replaces another writer's commit.

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
