"""Stream = batch: an hour's bars as they streamed against the same bars recomputed from the lake."""

import dagster as dg
import polars as pl

from crypto_intel.contracts.tables import GOLD_BARS_1M, SILVER_BARS_1M, SILVER_LATE_ARRIVALS
from crypto_intel.core.compare import compare_bars
from crypto_intel.core.hours import HOUR, hour_start
from crypto_intel.graph.reports import markdown
from crypto_intel.graph.specs import HOURLY, key_of
from crypto_intel.resources.lake import Lake

MAX_DIFF_ROWS = 50


@dg.asset_check(
    asset=key_of(GOLD_BARS_1M),
    name="stream_equals_batch",
    additional_deps=[key_of(SILVER_BARS_1M), key_of(SILVER_LATE_ARRIVALS)],
    partitions_def=HOURLY,
    description="Streamed bars equal the recomputed ones: prices, ids and counts exactly, volumes within 1e-9; trades "
    "that came late explain a difference. If not: the table below shows both sides of each bar; trust gold, and look "
    "for a restart of the bars job or a change of its code in that hour.",
)
def stream_equals_batch(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
    """Row by row, with the differences as a table."""
    key = context.op_execution_context.partition_key
    start = hour_start(key)
    # Rows behind the hour tell how far the stream has come.
    behind = pl.col("event_date").is_between(start.date(), (start + HOUR).date()) & (pl.col("window_start") >= start)
    found = compare_bars(
        lake.scan(SILVER_BARS_1M).filter(behind).collect(),
        lake.scan(GOLD_BARS_1M).filter(pl.col("event_hour") == key).collect(),
        lake.scan(SILVER_LATE_ARRIVALS).filter(behind).collect(),
    )
    metadata = {
        "bars_equal": found.equal_count,
        "bars_explained_by_late_arrivals": found.explained.height,
        "bars_not_streamed_yet": found.pending_count,
        "bars_differing": found.differing.height,
    }
    if not found.passed:
        return dg.AssetCheckResult(
            passed=False,
            metadata={**metadata, "diff": dg.MetadataValue.md(markdown(found.differing.head(MAX_DIFF_ROWS)))},
        )
    return dg.AssetCheckResult(passed=True, metadata=metadata)
