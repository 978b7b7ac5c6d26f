"""gold.market_enriched by hour: bars, the news around them, macro values as known then."""

from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import (
    BRONZE_NEWS,
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    MACRO_SERIES,
)
from crypto_intel.core.enrich import NEWS_WINDOW_S, enrich
from crypto_intel.core.hours import HOUR, hour_start
from crypto_intel.core.news import PUBLISHED_BACK, with_moods
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import HOURLY, key_of, table_args
from crypto_intel.resources.lake import Lake

STORY = timedelta(days=1)
"""How long before a bar a story's first article is looked for."""

MACRO_YEARS_BACK = 2
"""A value of January may be of November, and its year before of the November before that."""

# An hour reads the years before it too; Dagster has no mapping from a dimension with an offset.
_macro = dg.AssetDep(key_of(MACRO_FRED_OBSERVATIONS), partition_mapping=dg.AllPartitionMapping())


@dg.asset(
    **table_args(GOLD_MARKET_ENRICHED, {"polars", "deltalake"}),
    ins={"bars": dg.AssetIn(key_of(GOLD_BARS_1M))},
    deps=[key_of(BRONZE_NEWS), _macro],
    partitions_def=HOURLY,
    code_version="1",
)
def market_enriched(
    context: dg.AssetExecutionContext, bars: pl.LazyFrame, lake: Lake
) -> dg.MaterializeResult[pl.DataFrame]:
    """Final rows of the hour; those that did not change since an earlier run keep their revision."""
    start = hour_start(context.partition_key)
    reach = timedelta(seconds=NEWS_WINDOW_S)
    known_at = lake.platform_time()
    if known_at is None:
        raise dg.Failure("no heartbeat in bronze.feed_status: the platform clock is unknown", allow_retries=False)
    clock = Settings().news_clock
    # A day more, so that an article that only repeats an earlier one's story is known as such.
    first, last = start - reach - STORY, start + HOUR + reach
    oldest = first - (PUBLISHED_BACK if clock == "first_seen" else timedelta(0))
    years = [str(year) for year in range(start.year - MACRO_YEARS_BACK, start.year + 1)]
    rows = enrich(
        bars.collect(),
        with_moods(
            lake.scan(BRONZE_NEWS)
            .filter(
                pl.col("event_date").is_between(oldest.date(), last.date()),
                pl.col(f"{clock}_at").is_between(first, last),
            )
            .collect()
        ),
        lake.scan(MACRO_FRED_OBSERVATIONS)
        .filter(pl.col("observation_year").is_in(years), pl.col("series_id").is_in(list(MACRO_SERIES.values())))
        .collect(),
        known_at=known_at,
        clock=clock,
        before=lake.scan(GOLD_MARKET_ENRICHED).filter(pl.col("event_hour") == context.partition_key).collect(),
    )
    facts: dict[str, Any] = {
        "news_rows": rows.filter(pl.col("news_count") > 0).height,
        "macro_rows": rows.filter(pl.col("fed_funds_pct").is_not_null()).height,
        "newest_revision": rows["revision"].max() if rows.height else 0,
        "source": Settings().source,
    }
    return dg.MaterializeResult(value=rows, metadata={**describe_rows(rows, GOLD_MARKET_ENRICHED), **facts})
