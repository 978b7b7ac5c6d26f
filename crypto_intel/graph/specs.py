"""Dagster's words for our contracts: keys, partitions, owners, kinds, column schemas.

What belongs here: what more than one asset definition needs to say what it is. What does not: what it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from crypto_intel.contracts.columns import Column, Table
from crypto_intel.contracts.macro import SERIES_IDS
from crypto_intel.contracts.serving import ServedTable
from crypto_intel.core.hours import DAY_FORMAT, HOUR_FORMAT

OWNERS = ["team:market-data"]

HOURLY = dg.HourlyPartitionsDefinition(start_date="2024-01-01-00", timezone="UTC", fmt=HOUR_FORMAT)
"""Partition keys are the values of the partition column event_hour. Begins before the oldest recording we replay."""

RUNNING_HOURLY = dg.HourlyPartitionsDefinition(
    start_date="2024-01-01-00", timezone="UTC", fmt=HOUR_FORMAT, end_offset=1
)
"""The same hours and the running one: for what is mended before its hour is over. An hour's own tables do not have it,
so that nobody makes an hour final that is not over."""

DAILY = dg.DailyPartitionsDefinition(start_date="2024-01-01", timezone="UTC", fmt=DAY_FORMAT)
"""Partition keys are the values of the partition column event_day."""

YEARLY = dg.TimeWindowPartitionsDefinition(
    start="1980", fmt="%Y", cron_schedule="0 0 1 1 *", timezone="UTC", end_offset=1
)
"""Years of observation dates, the running one included."""


SERIES_BY_YEAR = dg.MultiPartitionsDefinition({"series": dg.StaticPartitionsDefinition(SERIES_IDS), "year": YEARLY})
"""Macro series by year: keys are `series|year`, the values of both partition columns."""


def keys_of_dimension(keys: Sequence[str], dimension: str) -> list[str]:
    """The distinct keys of one dimension among keys of two, in their order."""
    found = dict.fromkeys(key.keys_by_dimension[dimension] for key in keys if isinstance(key, dg.MultiPartitionKey))
    return list(found)


def back(partitions: int) -> dg.TimeWindowPartitionMapping:
    """The partitions of the same time and so many before it; in units of the asset that reads."""
    return dg.TimeWindowPartitionMapping(start_offset=-partitions, allow_nonexistent_upstream_partitions=True)


def input_of(table: Table, before: int = 0) -> dg.AssetIn:
    """Rows of a table of the lake: the partition of the run and so many before it."""
    return dg.AssetIn(key_of(table), partition_mapping=back(before) if before else None)


def key_of(table: Table) -> dg.AssetKey:
    """Asset key of a table of the lake: [layer, table]."""
    return dg.AssetKey([table.layer, table.name])


def column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """Columns as the UI shows them: name, type, description, constraints."""
    return dg.TableSchema([_column(column) for column in columns])


def _column(column: Column) -> dg.TableColumn:
    rules = [f">= {column.minimum:g}"] if column.minimum is not None else []
    rules += [f"<= {column.maximum:g}"] if column.maximum is not None else []
    rules += [f"one of {', '.join(column.allowed)}"] if column.allowed else []
    return dg.TableColumn(
        name=column.name,
        type=column.type,
        description=column.doc,
        constraints=dg.TableColumnConstraints(nullable=column.nullable, other=rules),
    )


def table_metadata(table: Table) -> dict[str, Any]:
    """Definition metadata of an asset that is a table of the lake."""
    return {
        "dagster/column_schema": column_schema(table.columns),
        "dagster/table_name": table.full_name,
        "key": list(table.key),
        "partitioned_by": list(table.partition_by),
        "writer": table.writer,
    }


def table_args(
    table: Table, kinds: set[str], tags: Mapping[str, str] | None = None, pool: str | None = None
) -> dict[str, Any]:
    """Arguments of `dg.asset` for a table that Dagster writes: all that follows from the contract.

    Args:
        pool: what bounds the step; None: the table, which one step writes at a time.
    """
    return {
        "pool": pool or f"writes_{table.layer}_{table.name}",
        "key": key_of(table),
        "group_name": table.layer,
        "description": table.doc,
        "kinds": kinds,
        "owners": OWNERS,
        "tags": {"layer": table.layer, "mode": "batch", **(tags or {})},
        "metadata": table_metadata(table),
        "io_manager_key": "delta_io",
    }


def observed_table_spec(table: Table, deps: Sequence[dg.AssetKey], kinds: set[str], mode: str) -> dg.AssetSpec:
    """A table that no asset of ours returns, as an asset that Dagster observes."""
    return dg.AssetSpec(
        key_of(table),
        deps=deps,
        description=table.doc,
        group_name=table.layer,
        kinds=kinds,
        owners=OWNERS,
        tags={"layer": table.layer, "mode": mode},
        metadata=table_metadata(table),
    )


def served_spec_args(table: ServedTable, kinds: set[str] | None = None) -> dict[str, Any]:
    """Arguments of `dg.asset` for a table that PostgreSQL (or Supabase) serves."""
    return {
        "key": dg.AssetKey(["publish", table.name]),
        "group_name": "publish",
        "description": f"{table.doc} Served by PostgreSQL or Supabase as public.{table.name}.",
        "kinds": kinds or {"postgres", "supabase"},
        "owners": OWNERS,
        "tags": {"layer": "publish", "mode": "batch"},
        "metadata": {
            "dagster/column_schema": column_schema(table.columns),
            "dagster/table_name": f"public.{table.name}",
            "key": list(table.key),
        },
    }


FRED_POOL = "fred"
"""Steps that ask FRED go one at a time: its budget is by key, and each process counts its own requests. One pool is a
step's, and who alone asks for a table's rows is its only writer, so this one bounds the writer as well."""


CLOSED_DAYS = dg.AssetKey(["gold", "closed_days"])
"""UTC days that are over by the platform clock and whose hours are all made: told by day_closed_sensor."""

REACHED_YEARS = dg.AssetKey(["macro", "reached_years"])
"""Years in which something else may be known since observations were loaded: told by reached_years_sensor."""


def told_spec(
    key: dg.AssetKey, doc: str, deps: Sequence[dg.AssetKey | dg.AssetDep], partitions: dg.PartitionsDefinition[Any]
) -> dg.AssetSpec:
    """A fact that a sensor finds and reports without a run, an event a partition: what other assets' conditions wait
    for."""
    return dg.AssetSpec(
        key,
        deps=deps,
        description=doc,
        group_name=key.path[0],
        kinds={"dagster"},
        owners=OWNERS,
        tags={"layer": key.path[0], "mode": "observed"},
        partitions_def=partitions,
    )


def source_key(name: str) -> dg.AssetKey:
    """Asset key of a feed, a topic or a streaming job."""
    return dg.AssetKey(["sources", name])


def refetched_key(venue: str) -> dg.AssetKey:
    """Asset key of a venue's trades that runs fetched."""
    return dg.AssetKey(["bronze", f"refetched_trades_{venue}"])


def feed_spec(name: str, doc: str, kind: str) -> dg.AssetSpec:
    """A venue or a service that the platform hears or asks: where lineage begins."""
    return dg.AssetSpec(
        source_key(name),
        description=doc,
        group_name="sources",
        kinds={kind},
        owners=OWNERS,
        tags={"layer": "sources", "mode": "external"},
    )
