"""Guarantee: writing a partition replaces exactly that partition, whole, in one Delta commit, or changes nothing.
A table without partitions is replaced as a whole in the same way.

A run that is repeated, or killed and repeated, leaves each row once; other partitions are never touched, since rows
outside of the written partition are refused by delta-rs itself. One process writes a table at a time (Lake.lock).
Why not dagster-deltalake's own I/O manager: it matches a time partition by equality with the window's start, and
cannot read timestamps with a zone. Its resource and storage types are used (lake.py).
"""

# No postponed annotations here: Dagster reads the field's type to know that `lake` is a resource.
import time
from collections.abc import Sequence

import dagster as dg
import polars as pl
from deltalake import DeltaTable, write_deltalake

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import TABLES
from crypto_intel.core.frames import to_arrow
from crypto_intel.resources.lake import Lake

Context = dg.InputContext | dg.OutputContext


class DeltaIOManager(dg.ConfigurableIOManager):
    """Stores a Polars frame as the partitions of a run, and hands out lazy frames of the partitions asked for.

    The asset key [layer, table] names the contract's table; its first partition column holds the partition key.
    """

    lake: dg.ResourceDependency[Lake]

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Replace the run's partitions, or a table that has none, by the frame.

        Raises:
            ValueError: a not-null column of the contract holds nulls.
            deltalake.exceptions.DeltaError: a row lies outside of the run's partitions.
        """
        table = contract_of(context.asset_key)
        started = time.perf_counter()
        version = self.write(table, obj, context.asset_partition_keys if context.has_asset_partitions else None)
        context.add_output_metadata(
            {
                "dagster/row_count": obj.height,
                "dagster/uri": self.lake.uri(table),
                "delta_version": version,
                "size_bytes": obj.estimated_size(),
                "write_ms": round(1000 * (time.perf_counter() - started)),
            }
        )

    def write(self, table: Table, frame: pl.DataFrame, partitions: Sequence[str] | None) -> int:
        """Replace the named partitions of a table, or all of it, by the frame's rows; returns the new version."""
        options = self.lake.storage_options(table)
        rows = to_arrow(frame, table)
        with self.lake.lock(table):
            delta = self._ensure(table, options)
            write_deltalake(
                delta,
                rows,
                mode="overwrite",
                predicate=None if partitions is None else partition_predicate(table, partitions),
                storage_options=options,
            )
            delta.update_incremental()
            return delta.version()

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """The rows of the partitions that the downstream run asks for, lazily; all rows if it has none."""
        table = contract_of(context.asset_key)
        rows = self.lake.scan(table)
        if not context.has_asset_partitions:
            return rows
        return rows.filter(pl.col(table.partition_by[0]).is_in(list(context.asset_partition_keys)))

    def _ensure(self, table: Table, options: dict[str, str]) -> DeltaTable:
        return DeltaTable.create(
            self.lake.uri(table),
            table.arrow_schema(),
            mode="ignore",
            partition_by=list(table.partition_by),
            name=table.full_name,
            description=table.doc,
            storage_options=options,
        )


def contract_of(key: dg.AssetKey) -> Table:
    """The contract of the table that an asset key names.

    Raises:
        KeyError: there is no such table.
    """
    return TABLES[".".join(key.path)]


def partition_predicate(table: Table, partitions: Sequence[str]) -> str:
    """SQL that is true for exactly the rows of the partitions.

    Raises:
        ValueError: no partition is named, or a key holds what no partition key holds.
    """
    if not partitions or not all(key.replace("-", "").isalnum() for key in partitions):
        raise ValueError(f"not partitions of {table.full_name}: {list(partitions)}")
    keys = ", ".join(f"'{key}'" for key in partitions)
    return f"{table.partition_by[0]} IN ({keys})"
