"""Closed hours as they are served: final rows of market_enriched, and the recomputed bars."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.serving import BARS_1M, MARKET_ENRICHED
from crypto_intel.contracts.tables import GOLD_BARS_1M, GOLD_MARKET_ENRICHED
from crypto_intel.graph.specs import HOURLY, key_of, served_spec_args
from crypto_intel.operations.observing import JOBS
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_rows


@dg.asset(
    **served_spec_args(MARKET_ENRICHED),
    ins={"rows": dg.AssetIn(key_of(GOLD_MARKET_ENRICHED))},
    deps=[JOBS["publish"]],
    partitions_def=HOURLY,
    code_version="1",
)
def market_enriched(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """The hour's final revision, in one transaction; provisional rows of the stream give way to it."""
    return publish_rows(postgres, MARKET_ENRICHED, rows)


@dg.asset(
    **served_spec_args(BARS_1M),
    ins={"rows": dg.AssetIn(key_of(GOLD_BARS_1M))},
    deps=[JOBS["publish"]],
    partitions_def=HOURLY,
    code_version="1",
)
def bars_1m(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
    """The hour's recomputed bars, in one transaction; equal to the streamed ones unless trades came late."""
    return publish_rows(postgres, BARS_1M, rows)
