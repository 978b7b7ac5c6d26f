"""Sinks agree: what PostgreSQL serves of an hour is what the lake has."""

import dagster as dg
import polars as pl

from crypto_intel.checks.hours import outcome_of
from crypto_intel.contracts.serving import MARKET_ENRICHED
from crypto_intel.contracts.tables import GOLD_MARKET_ENRICHED
from crypto_intel.core.hours import HOUR, hour_start
from crypto_intel.graph.specs import HOURLY, key_of
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import differing_rows


@dg.asset_check(
    asset=dg.AssetKey(["publish", MARKET_ENRICHED.name]),
    name="agrees_with_lake",
    additional_deps=[key_of(GOLD_MARKET_ENRICHED)],
    partitions_def=HOURLY,
    description="Each final row of the hour stands in PostgreSQL as in the lake, and no other row does. If not: "
    "someone else wrote to the table, or a publication failed; materialize publish/market_enriched of the hour again.",
)
def agrees_with_lake(context: dg.AssetCheckExecutionContext, lake: Lake, postgres: Postgres) -> dg.AssetCheckResult:
    """Row by row, on the whole content."""
    key = context.op_execution_context.partition_key
    start = hour_start(key)
    rows = lake.scan(GOLD_MARKET_ENRICHED).filter(pl.col("event_hour") == key).collect()
    with postgres.connect() as connection:
        wrong = differing_rows(connection, MARKET_ENRICHED, rows, start, start + HOUR)
    outcome = outcome_of(wrong, rows.height)
    return dg.AssetCheckResult(passed=outcome.passed, metadata=outcome.metadata)
