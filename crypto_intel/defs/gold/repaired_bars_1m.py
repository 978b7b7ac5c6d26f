"""gold.repaired_bars_1m by hour: minutes that streamed in part and that a repair made whole, until the hour is made."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_TRADES,
    SILVER_BARS_1M,
    SILVER_GAPS,
    SILVER_LATE_ARRIVALS,
)
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.reports import describe_rows, markdown
from crypto_intel.graph.specs import RUNNING_HOURLY, key_of, refetched_key, table_args
from crypto_intel.operations.repairs import proof, repaired_minutes
from crypto_intel.resources.lake import Lake

MAX_GAPS_SHOWN = 20


@dg.asset(
    **table_args(GOLD_REPAIRED_BARS_1M, {"polars", "deltalake"}),
    deps=[
        *(key_of(table) for table in (BRONZE_FEED_STATUS, BRONZE_TRADES, SILVER_BARS_1M, SILVER_LATE_ARRIVALS)),
        *(refetched_key(venue) for venue in TRADE_VENUES),
    ],
    partitions_def=RUNNING_HOURLY,
    code_version="1",
)
def repaired_bars_1m(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """Folded by the very fold that streams, from every record that is here by now; minutes that stay are left out."""
    rows = repaired_minutes(lake, hour_start(context.partition_key))
    return dg.MaterializeResult(value=rows, metadata=describe_rows(rows, GOLD_REPAIRED_BARS_1M))


@dg.asset_check(
    asset=key_of(GOLD_REPAIRED_BARS_1M),
    name="gaps_are_closed",
    additional_ins={"ledger": dg.AssetIn(key_of(SILVER_GAPS))},
    partitions_def=RUNNING_HOURLY,
    description="Of each gap of the hour that is told to be repaired every single id is in bronze.trades: the ids are "
    "contiguous. If not: the table shows which gap lacks how many; look for the repair's records in bronze.rejected.",
)
def gaps_are_closed(context: dg.AssetCheckExecutionContext, ledger: pl.LazyFrame, lake: Lake) -> dg.AssetCheckResult:
    """The proof, gap by gap."""
    found = proof(lake, ledger.collect(), hour_start(context.op_execution_context.partition_key))
    lacking = found.filter(pl.col("found") < pl.col("ids"))
    shown = (lacking if lacking.height else found).head(MAX_GAPS_SHOWN)
    return dg.AssetCheckResult(
        passed=lacking.is_empty(),
        metadata={
            "gaps_repaired": found.height,
            "ids": int(found["ids"].sum()),
            "gaps_lacking_ids": lacking.height,
            "proof": dg.MetadataValue.md(markdown(shown)),
        },
    )
