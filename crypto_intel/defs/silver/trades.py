"""silver.trades by hour: one row per trade id."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.tables import BRONZE_TRADES, SILVER_TRADES
from crypto_intel.core.hours import hour_start
from crypto_intel.core.trades import distinct_trades
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, key_of, table_args
from crypto_intel.resources.lake import Lake


@dg.asset(
    **table_args(SILVER_TRADES, {"polars", "deltalake"}),
    deps=[key_of(BRONZE_TRADES)],
    partitions_def=HOURLY,
    code_version="1",
)
def trades(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """Bronze's records of the hour, de-duplicated and sorted."""
    rows = distinct_trades(lake.scan(BRONZE_TRADES), hour_start(context.partition_key))
    return dg.MaterializeResult(value=rows, metadata=describe_rows(rows, SILVER_TRADES))
