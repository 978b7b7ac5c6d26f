"""Quotes of an hour: what can be believed, once per market and time, and what can not, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crypto_intel.contracts.derived import SILVER_QUOTES
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour

MIN_TURNOVER = 1e-8
"""Day's volume as a share of capitalisation. A coin that is said to be worth more than bitcoin while five dollars of
it are traded a day has 2e-12; the least of the recorded honest ones has 8e-6."""

_KEY = list(SILVER_QUOTES.key)


@dataclass(frozen=True)
class CleanQuotes:
    """`rows` of silver.quotes; `refused` rows of bronze with `reason`; and how many repeated ones were dropped."""

    rows: pl.DataFrame
    refused: pl.DataFrame
    repeated: int


def clean_quotes(records: pl.LazyFrame, hour: datetime) -> CleanQuotes:
    """Quotes of the hour, judged.

    Args:
        records: rows of bronze.quotes; those outside the hour are left out.
        hour: start of the UTC hour.
    """
    within = (pl.col("event_date") == hour.date()) & pl.col("event_time").is_between(hour, hour + HOUR, closed="left")
    judged = (
        records.filter(within)
        .sort(*_KEY, "kafka_time", "kafka_partition", "kafka_offset")
        .with_columns(reason=_reason())
        .collect()
    )
    believed = judged.filter(pl.col("reason").is_null())
    rows = believed.unique(_KEY, keep="first", maintain_order=True).with_columns(event_hour=pl.lit(event_hour(hour)))
    refused = judged.filter(pl.col("reason").is_not_null())
    return CleanQuotes(conform(rows, SILVER_QUOTES), refused, believed.height - rows.height)


def _reason() -> pl.Expr:
    turnover = pl.col("volume_24h").cast(pl.Float64) / pl.col("market_cap_usd").cast(pl.Float64)
    is_in_dollars = pl.col("symbol").str.ends_with("-USD")
    return (
        pl.when(pl.col("price").is_null())
        .then(pl.lit("no price"))
        .when(pl.col("price") <= 0)
        .then(pl.lit("price not positive"))
        .when(pl.any_horizontal(pl.col("bid", "ask") <= 0))
        .then(pl.lit("bid or ask not positive"))
        .when(pl.col("bid") > pl.col("ask"))
        .then(pl.lit("bid above ask"))
        .when(is_in_dollars & (pl.col("market_cap_usd") > 0) & (turnover < MIN_TURNOVER))
        .then(pl.lit("capitalisation without trading"))
        .when(~pl.col("change_24h_pct").is_finite())
        .then(pl.lit("change not finite"))
    )
