"""Served rows that are older than people want them; how old they may get stands in ops.retention."""

from typing import Any

import dagster as dg

from crypto_intel.graph.specs import OWNERS
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.retention import apply_retention


@dg.asset(
    key=["publish", "retention"],
    group_name="publish",
    description="Drops served rows that are older than ops.retention says, counted from the newest event.",
    kinds={"postgres", "supabase"},
    owners=OWNERS,
    tags={"layer": "publish", "mode": "batch"},
    code_version="1",
)
def retention(postgres: Postgres) -> dg.MaterializeResult[Any]:
    """Whole parts where a table has them, rows elsewhere; the lake keeps everything."""
    with postgres.connect() as connection:
        dropped = apply_retention(connection)
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
