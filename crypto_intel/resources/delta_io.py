"""Guarantee: writing a partition replaces exactly that partition, whole, in one Delta commit, or changes nothing.
Rows that are there already are no commit, so a run that is repeated leaves the table at its version. A table without
partitions is replaced as a whole in the same way.

A run that is repeated, or killed and repeated, leaves each row once; other partitions are never touched, since rows
outside of the written partition are refused by delta-rs itself. One process writes a table at a time (Lake.lock).
Why not dagster-deltalake's own I/O manager: it matches a time partition by equality with the window's start, and
cannot read timestamps with a zone. Its resource and storage types are used (lake.py).
"""

# No postponed annotations here: Dagster reads the field's type to know that `lake` is a resource.
import math
import re
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import dagster as dg
import polars as pl
from deltalake import DeltaTable, write_deltalake

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import TABLES
from crypto_intel.core.frames import conform, to_arrow
from crypto_intel.resources.lake import Lake

Context = dg.InputContext | dg.OutputContext
T = TypeVar("T")

KEY_SEPARATOR = "|"
"""Between the values of a key that names several partition columns, as Dagster writes keys of two dimensions."""

_KEY = re.compile(r"[A-Za-z0-9._-]+")


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
        return replace_partitions(self.lake, table, frame, partitions)

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """The rows of the partitions that the downstream run asks for, lazily; all rows if it has none."""
        table = contract_of(context.asset_key)
        rows = self.lake.scan(table)
        if not context.has_asset_partitions:
            return rows
        return rows.filter(partition_filter(table, context.asset_partition_keys))


def replace_partitions(lake: Lake, table: Table, frame: pl.DataFrame, partitions: Sequence[str] | None) -> int:
    """Replace the named partitions of a table, or all of it, by the frame's rows; returns the table's version.

    Args:
        partitions: keys; of a table with several partition columns their values joined by `KEY_SEPARATOR`.
    """
    options = lake.storage_options(table)
    rows = to_arrow(frame, table)
    with lake.lock(table):
        delta = _ensure(lake, table, options)
        if _holds(delta, table, frame, partitions):
            return delta.version()
        write_deltalake(
            delta,
            rows,
            mode="overwrite",
            predicate=None if partitions is None else partition_predicate(table, partitions),
            storage_options=options,
        )
        delta.update_incremental()
        return delta.version()


def _holds(delta: DeltaTable, table: Table, frame: pl.DataFrame, partitions: Sequence[str] | None) -> bool:
    # The same rows in any order; counted first, since that needs no reading.
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    if files.is_empty():
        return frame.is_empty()
    if partitions is None and int(files["num_records"].sum()) != frame.height:
        return False
    stored = pl.scan_delta(delta)
    if partitions is not None:
        stored = stored.filter(partition_filter(table, partitions))
    there = conform(stored.collect(), table)
    if there.height != frame.height:
        return False
    order = [column.name for column in table.columns if column.name in table.key] or table.column_names
    return there.sort(order).equals(conform(frame, table).sort(order))


def _ensure(lake: Lake, table: Table, options: dict[str, str]) -> DeltaTable:
    return DeltaTable.create(
        lake.uri(table),
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
    keys = [tuple(key.split(KEY_SEPARATOR)) for key in partitions]
    fits = all(len(key) == len(table.partition_by) and all(_KEY.fullmatch(part) for part in key) for key in keys)
    if not keys or not fits:
        raise ValueError(f"not partitions of {table.full_name}: {list(partitions)[:5]}")
    values = [sorted(set(column)) for column in zip(*keys, strict=True)]
    if math.prod(len(column) for column in values) == len(set(keys)):  # every combination: a list a column
        return " AND ".join(_one_of(name, column) for name, column in _by_name(table, values))
    return " OR ".join(
        "(" + " AND ".join(_one_of(name, [part]) for name, part in _by_name(table, key)) + ")"
        for key in sorted(set(keys))
    )


def partition_filter(table: Table, partitions: Sequence[str]) -> pl.Expr:
    """The same as a filter of a Polars frame, which prunes files where there is one list a column."""
    keys = [tuple(key.split(KEY_SEPARATOR)) for key in partitions]
    values = [sorted(set(column)) for column in zip(*keys, strict=True)] or [[] for _ in table.partition_by]
    within = pl.all_horizontal(pl.col(name).is_in(column) for name, column in _by_name(table, values))
    if math.prod(len(column) for column in values) == len(set(keys)):
        return within
    whole = pl.concat_str(*table.partition_by, separator=KEY_SEPARATOR)
    return within & whole.is_in(list(partitions))


def _by_name(table: Table, values: Sequence[T]) -> Iterator[tuple[str, T]]:
    return zip(table.partition_by, values, strict=True)


def _one_of(name: str, values: Sequence[str]) -> str:
    return f"{name} IN ({', '.join(repr(value) for value in values)})"
