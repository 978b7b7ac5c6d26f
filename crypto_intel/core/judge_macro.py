"""Judgements of macro series against what FRED says of them."""

from __future__ import annotations

import polars as pl

_EVERY = {"Monthly": "1mo", "Quarterly": "3mo", "Weekly": "7d"}


def against_metadata(observations: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Where observations are not what FRED says of their series: series_id, fault, expected, found.

    Looked at within the loaded periods: the last period, periods that are absent (a missing value has a row, so an
    absent one was lost), and periods outside of what the series has. Daily series have no row on days off.

    Args:
        observations: rows of macro.fred_observations.
        series: rows of macro.fred_series.
    """
    spans = observations.group_by("series_id").agg(
        first=pl.col("observation_date").min(),
        last=pl.col("observation_date").max(),
        periods=pl.col("observation_date").n_unique(),
    )
    both = series.join(spans, on="series_id", how="left")
    faults = [
        both.filter(pl.col("last").is_null()).select(
            "series_id", fault=pl.lit("not loaded"), expected=_text("observation_end"), found=pl.lit("nothing")
        ),
        both.filter(pl.col("last") < pl.col("observation_end")).select(
            "series_id", fault=pl.lit("last period missing"), expected=_text("observation_end"), found=_text("last")
        ),
        both.filter(pl.col("first") < pl.col("observation_start")).select(
            "series_id",
            fault=pl.lit("period before the series began"),
            expected=_text("observation_start"),
            found=_text("first"),
        ),
        *(_absent(both, frequency, every) for frequency, every in _EVERY.items()),
    ]
    return pl.concat(faults).sort("series_id", "fault")


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String)


def _absent(both: pl.DataFrame, frequency: str, every: str) -> pl.DataFrame:
    own = both.filter(pl.col("frequency") == frequency, pl.col("last").is_not_null())
    expected = own.select("series_id", "periods", n=pl.date_ranges("first", "last", every).list.len())
    return expected.filter(pl.col("periods") < pl.col("n")).select(
        "series_id", fault=pl.lit("periods absent"), expected=_text("n"), found=_text("periods")
    )
