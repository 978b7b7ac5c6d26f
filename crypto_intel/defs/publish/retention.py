"""Served rows that are older than people want them; how old they may get stands in ops.retention.

So too what Dagster was told by sensors: some 150,000 observations a day, which nobody looks at after a week.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from crypto_intel.automation.conditions import NIGHTLY
from crypto_intel.graph.specs import OWNERS
from crypto_intel.resources.dagster_storage import EventLog
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.retention import Dropped, apply_retention

TOLD_WITHOUT_A_RUN = timedelta(days=7)
"""How long (wall clock) Dagster keeps observations and evaluations that no run made. The newest of each stay."""


@dg.asset(
    key=["publish", "retention"],
    group_name="publish",
    description="Drops served rows that are older than ops.retention says, counted from the newest event; and what "
    "sensors told Dagster more than a week ago, but for the newest of each asset and check.",
    kinds={"postgres", "supabase"},
    owners=OWNERS,
    tags={"layer": "publish", "mode": "batch"},
    automation_condition=NIGHTLY,
    code_version="1",
)
def retention(context: dg.AssetExecutionContext, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Whole parts where a table has them, rows elsewhere; the lake keeps everything, Dagster its runs and alerts."""
    with postgres.connect() as connection:
        dropped = [*apply_retention(connection), *_forgotten(context.instance)]
    columns = [
        dg.TableColumn("table"),
        dg.TableColumn("cutoff"),
        dg.TableColumn("parts", "int"),
        dg.TableColumn("rows", "int"),
    ]
    records = [
        dg.TableRecord({"table": d.table, "cutoff": d.cutoff.isoformat(), "parts": d.parts, "rows": d.rows})
        for d in dropped
    ]
    return dg.MaterializeResult(
        metadata={
            "dropped": dg.MetadataValue.table(records, dg.TableSchema(columns)),
            "parts_dropped": sum(d.parts for d in dropped),
            "rows_dropped": sum(d.rows for d in dropped),
        }
    )


def _forgotten(instance: dg.DagsterInstance) -> Iterator[Dropped]:
    # Of the stack's own storage; another instance's is another's to keep.
    storage, cutoff = instance.event_log_storage, datetime.now(UTC) - TOLD_WITHOUT_A_RUN
    if isinstance(storage, EventLog):
        for table, rows in storage.forget(cutoff).items():
            yield Dropped(f"dagster.{table}", cutoff, parts=0, rows=rows)
