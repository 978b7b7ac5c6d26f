"""silver.quotes by hour: what can be believed; what can not goes to silver.quarantine."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import SILVER_QUOTES
from crypto_intel.contracts.tables import BRONZE_QUOTES
from crypto_intel.core.hours import hour_start
from crypto_intel.core.quotes import clean_quotes
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, key_of, table_args
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.quarantine import Quarantine


@dg.asset(
    **table_args(SILVER_QUOTES, {"polars", "deltalake"}),
    deps=[key_of(BRONZE_QUOTES)],
    partitions_def=HOURLY,
    code_version="1",
)
def quotes(context: dg.AssetExecutionContext, lake: Lake, quarantine: Quarantine) -> dg.MaterializeResult[pl.DataFrame]:
    """Bronze's quotes of the hour: judged, and each once."""
    found = clean_quotes(lake.scan(BRONZE_QUOTES), hour_start(context.partition_key))
    quarantine.keep(SILVER_QUOTES, context.partition_key, found.refused, "cleaning")
    reasons = dict(found.refused["reason"].value_counts(sort=True).iter_rows())
    facts: dict[str, Any] = {
        "refused": found.refused.height,
        "repeated": found.repeated,
        "reasons": dg.MetadataValue.json(reasons),
    }
    return dg.MaterializeResult(value=found.rows, metadata={**describe_rows(found.rows, SILVER_QUOTES), **facts})
