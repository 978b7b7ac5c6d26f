"""Bars, the news around them and macro values as known then, read from the lake and joined: for closed hours and open.

What belongs here: reading. What does not: the join (core/enrich.py), which hours (automation/).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_NEWS, MACRO_FRED_OBSERVATIONS, MACRO_SERIES
from crypto_intel.core.enrich import NEWS_WINDOW_S, enrich
from crypto_intel.core.errors import PermanentError
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.news import PUBLISHED_BACK, with_moods
from crypto_intel.resources.lake import Lake

STORY = timedelta(days=1)
"""How long before a bar a story's first article is looked for."""

MACRO_YEARS_BACK = 2
"""A value of January may be of November, and its year before of the November before that."""


def enriched(lake: Lake, bars: pl.DataFrame, hour: datetime, table: Table, *, is_final: bool) -> pl.DataFrame:
    """Rows of an hour; those that did not change since the table was written keep their revision.

    Args:
        bars: columns of gold.bars_1m, within the hour.
        hour: its start.
        table: gold.market_enriched, or one like it, whose rows of the hour are the ones before.
        is_final: the hour is closed.

    Raises:
        PermanentError: the platform clock is unknown.
    """
    known_at = lake.platform_time()
    if known_at is None:
        raise PermanentError("no heartbeat in bronze.feed_status: the platform clock is unknown")
    return enrich(
        bars,
        news_around(lake, hour),
        _macro_values(lake, hour.year),
        known_at=known_at,
        clock=Settings().news_clock,
        before=lake.scan(table).filter(pl.col("event_hour") == event_hour(hour)).collect(),
        is_final=is_final,
    )


def news_around(lake: Lake, hour: datetime) -> pl.DataFrame:
    """Rows of bronze.news that may belong to bars of an hour, with moods; and those of the day before it, so that an
    article that only repeats an earlier one's story is known as such."""
    clock = Settings().news_clock
    reach = timedelta(seconds=NEWS_WINDOW_S)
    first, last = hour - reach - STORY, hour + HOUR + reach
    oldest = first - (PUBLISHED_BACK if clock == "first_seen" else timedelta(0))
    within = pl.col("event_date").is_between(oldest.date(), last.date())
    near = pl.col(f"{clock}_at").is_between(first, last)
    return with_moods(lake.scan(BRONZE_NEWS).filter(within, near).collect())


def _macro_values(lake: Lake, year: int) -> pl.DataFrame:
    years = [str(one) for one in range(year - MACRO_YEARS_BACK, year + 1)]
    wanted = pl.col("observation_year").is_in(years), pl.col("series_id").is_in(list(MACRO_SERIES.values()))
    return lake.scan(MACRO_FRED_OBSERVATIONS).filter(*wanted).collect()
