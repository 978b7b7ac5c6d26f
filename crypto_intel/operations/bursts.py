"""What a burst of news is found in, and what is made of the hour that it falls into.

What belongs here: reading stories and the open hour's bars. What does not: the rule (core/bursts.py), the join
(enriching.py), asking for runs (automation/bursts.py).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import polars as pl

from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_NEWS, GOLD_BARS_1M, GOLD_BURST_ENRICHED, SILVER_BARS_1M
from crypto_intel.core.bursts import Policy, stories_by_asset
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.news import PUBLISHED_BACK
from crypto_intel.operations.enriching import enriched
from crypto_intel.resources.lake import Lake
from crypto_intel.settings import PlatformSettings

_KEY = list(SILVER_BARS_1M.key)
_ASSET = pl.col("symbol").str.split("-").list.first()


def policy() -> Policy:
    """As the settings say."""
    own = PlatformSettings().news_bursts
    return Policy(
        timedelta(seconds=own.window_s), own.min_stories, own.times_usual, timedelta(hours=own.baseline_hours)
    )


def recent_stories(lake: Lake, since: datetime, until: datetime) -> pl.DataFrame:
    """Rows of core.bursts.stories_by_asset in [since, until], on the clock by which news joins bars."""
    clock = Settings().news_clock
    oldest = since - (PUBLISHED_BACK if clock == "first_seen" else timedelta(0))
    within = pl.col("event_date").is_between(oldest.date(), until.date())
    columns = ["article_id", "cluster_id", "symbols", "published_at", "first_seen_at"]
    near = pl.col(f"{clock}_at").is_between(since, until)
    return stories_by_asset(lake.scan(BRONZE_NEWS).filter(within, near).select(columns).collect(), clock)


def enriched_so_far(lake: Lake, hour: datetime, assets: Collection[str]) -> pl.DataFrame:
    """Rows of gold.burst_enriched of an hour that need not be over: of these assets, and of those that it has already.

    Args:
        hour: its start.
        assets: bases of markets; none: all markets of the hour.
    """
    bars = bars_so_far(lake, hour)
    if assets:
        had = lake.scan(GOLD_BURST_ENRICHED).filter(pl.col("event_hour") == event_hour(hour))
        wanted = {*assets, *had.select(_ASSET.unique()).collect()["symbol"]}
        bars = bars.filter(_ASSET.is_in(wanted))
    return enriched(lake, bars, hour, GOLD_BURST_ENRICHED, is_final=False)


def bars_so_far(lake: Lake, hour: datetime) -> pl.DataFrame:
    """Bars of an hour as they streamed, or as repairs made them whole since; columns of gold.bars_1m."""
    within = (pl.col("event_date") == hour.date()) & pl.col("window_start").is_between(hour, hour + HOUR, closed="left")
    streamed = lake.scan(SILVER_BARS_1M).filter(within).collect().with_columns(event_hour=pl.lit(event_hour(hour)))
    repaired = lake.scan(GOLD_REPAIRED_BARS_1M).filter(pl.col("event_hour") == event_hour(hour)).collect()
    rest = conform(streamed.join(repaired, on=_KEY, how="anti"), GOLD_BARS_1M)
    return pl.concat([rest, conform(repaired, GOLD_BARS_1M)]).sort(_KEY)
