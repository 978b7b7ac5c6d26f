"""silver.news by hour: one row per article that was first seen in it."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import SILVER_NEWS
from crypto_intel.contracts.tables import BRONZE_NEWS
from crypto_intel.core.hours import hour_start
from crypto_intel.core.news import distinct_articles
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, key_of, table_args
from crypto_intel.resources.lake import Lake


@dg.asset(
    **table_args(SILVER_NEWS, {"polars", "deltalake"}),
    deps=[key_of(BRONZE_NEWS)],
    partitions_def=HOURLY,
    code_version="1",
)
def news(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """Bronze's articles of the hour with their story, their assets and their mood."""
    rows = distinct_articles(lake.scan(BRONZE_NEWS), hour_start(context.partition_key))
    facts: dict[str, Any] = {
        "stories": rows["cluster_id"].n_unique(),
        "without_mood": rows["sentiment"].null_count(),
        "sources": dg.MetadataValue.json(dict(rows["source"].value_counts(sort=True).head(20).iter_rows())),
    }
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, SILVER_NEWS), **facts})
