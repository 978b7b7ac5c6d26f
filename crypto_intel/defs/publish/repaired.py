"""Repaired minutes as they are served: bars, and the next revision of market_enriched, in one transaction."""

from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.serving import BARS_1M
from crypto_intel.core.errors import TransientError
from crypto_intel.graph.specs import OWNERS, RUNNING_HOURLY, key_of
from crypto_intel.operations.observing import JOBS
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import RETRIES, RETRY_AFTER_S, upsert
from streaming.sinks.postgres import refresh_market_enriched


@dg.asset(
    key=dg.AssetKey(["publish", "repaired_bars_1m"]),
    group_name="publish",
    kinds={"postgres", "supabase"},
    owners=OWNERS,
    tags={"layer": "publish", "mode": "batch"},
    description="Repaired minutes of an hour that is not made yet, in public.bars_1m and public.market_enriched.",
    ins={"rows": dg.AssetIn(key_of(GOLD_REPAIRED_BARS_1M))},
    deps=[JOBS["publish"]],
    partitions_def=RUNNING_HOURLY,
    code_version="1",
)
def repaired_bars_1m(rows: pl.LazyFrame, postgres: Postgres, lake: Lake) -> dg.MaterializeResult[Any]:
    """Bars are replaced; enriched rows follow them with the next revision. Final rows stay as they are."""
    frame = rows.collect()
    try:
        with postgres.connect() as connection:
            done = upsert(connection, BARS_1M, frame)
            revised = refresh_market_enriched(connection, frame, _known_at(lake))
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    figures = {"dagster/row_count": done.given, "bars_changed": done.changed, "enriched_rows_revised": revised}
    return dg.MaterializeResult(metadata={**figures, "agrees_with_lake": done.agrees})


def _known_at(lake: Lake) -> datetime | None:
    return lake.platform_time()
