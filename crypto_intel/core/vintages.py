"""Vintages over time: what a new answer of FRED adds to what is known, and never what it takes away."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS
from crypto_intel.core.frames import conform

_KEY = list(MACRO_FRED_OBSERVATIONS.key)


@dataclass(frozen=True)
class Merged:
    """`rows` of macro.fred_observations; how many vintages are new; and what was refused, with `reason`."""

    rows: pl.DataFrame
    added: int
    closed: int
    refused: pl.DataFrame


def merge_vintages(known: pl.DataFrame, fetched: pl.DataFrame) -> Merged:
    """The known vintages with those that FRED tells now.

    A vintage, once known, keeps its value and the time when we first fetched it. All that may change is its last day,
    when a later vintage takes its place. A value that FRED tells otherwise than before, of a known vintage, is refused.

    Args:
        known: rows of macro.fred_observations; may be empty.
        fetched: rows of the same series and periods.
    """
    told = fetched.select(*_KEY, told_value="value", told_end="realtime_end", told=pl.lit(value=True))
    kept = known.join(told, on=_KEY, how="left")
    is_rewritten = pl.col("told").is_not_null() & ~pl.col("value").eq_missing(pl.col("told_value"))
    closes = pl.col("told").is_not_null() & ~is_rewritten & (pl.col("told_end") != pl.col("realtime_end"))
    rewritten = kept.filter(is_rewritten).select(known.columns)
    added = fetched.join(known, on=_KEY, how="anti")
    rows = pl.concat(
        [
            kept.with_columns(realtime_end=pl.when(closes).then("told_end").otherwise("realtime_end")).select(
                known.columns
            ),
            added.select(known.columns),
        ]
    )
    refused = fetched.join(rewritten.select(_KEY), on=_KEY, how="semi").with_columns(
        reason=pl.lit("FRED tells a known vintage otherwise")
    )
    return Merged(conform(rows, MACRO_FRED_OBSERVATIONS).sort(_KEY), added.height, kept.filter(closes).height, refused)
