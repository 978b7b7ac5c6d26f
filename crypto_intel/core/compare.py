"""Stream = batch: bars as they streamed against bars recomputed from the lake, row by row.

Prices, ids and counts must be equal to the bit; sums of volumes within 1e-9, since they are added in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

EXACT = ("open", "high", "low", "close", "trade_count", "first_trade_id", "last_trade_id")
SUMS = ("volume_base", "volume_quote", "buy_volume_base")
RELATIVE_TOLERANCE = 1e-9
_KEY = ["venue", "symbol", "window_start"]


@dataclass(frozen=True)
class Comparison:
    """What came of comparing: rows that agree, rows that differ (with both sides), and rows not yet to be judged.

    `differing` has the key, `verdict`, and each compared column as it streamed and as recomputed (`_batch`).
    Verdicts: differs, missing in stream, missing in batch. `explained` has the same columns; late trades are why.
    """

    equal_count: int
    pending_count: int
    explained: pl.DataFrame
    differing: pl.DataFrame

    @property
    def passed(self) -> bool:
        """Nothing differs without an explanation."""
        return self.differing.is_empty()


def compare_bars(streamed: pl.DataFrame, batch: pl.DataFrame, late: pl.DataFrame) -> Comparison:
    """Compare the bars of the windows that `batch` covers.

    A row that the stream has not reached yet (behind its newest window of that market) is pending, not missing.

    Args:
        streamed: rows of silver.bars_1m, of the batch's windows and, if there, of later ones.
        batch: rows of gold.bars_1m.
        late: rows of silver.late_arrivals: what the stream left out because it came after its window was written.
    """
    until = streamed.group_by("venue", "symbol").agg(reached=pl.col("window_start").max())
    both = _side_by_side(streamed, batch, late).join(until, on=["venue", "symbol"], how="left")
    is_behind = pl.col("reached").is_null() | (pl.col("window_start") > pl.col("reached"))
    judged = both.with_columns(
        verdict=pl.when(pl.col("in_stream").is_null() & is_behind)
        .then(pl.lit("pending"))
        .when(pl.col("in_stream").is_null())
        .then(pl.lit("missing in stream"))
        .when(pl.col("in_batch").is_null())
        .then(pl.lit("missing in batch"))
        .when(_agrees())
        .then(pl.lit("equal"))
        .when(_is_explained())
        .then(pl.lit("late trades"))
        .otherwise(pl.lit("differs"))
    ).sort(_KEY)
    shown = [*_KEY, "verdict", *(name for column in (*EXACT, *SUMS) for name in (column, f"{column}_batch"))]
    counts = dict(judged["verdict"].value_counts().iter_rows())
    return Comparison(
        equal_count=counts.get("equal", 0),
        pending_count=counts.get("pending", 0),
        explained=judged.filter(pl.col("verdict") == "late trades").select(shown),
        differing=judged.filter(~pl.col("verdict").is_in(["equal", "pending", "late trades"])).select(shown),
    )


def _side_by_side(streamed: pl.DataFrame, batch: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    columns = [*_KEY, *EXACT, *SUMS]
    first, last = batch["window_start"].min(), batch["window_start"].max()
    within = streamed.filter(pl.col("window_start").is_between(first, last))
    late_counts = late.group_by(_KEY).agg(late_count=pl.col("trade_count").sum())
    joined = within.select(*columns, in_stream=True).join(
        batch.select(*columns, in_batch=True), on=_KEY, how="full", suffix="_batch", coalesce=True
    )
    return (
        joined.join(late_counts, on=_KEY, how="left")
        .with_columns(pl.col("late_count").fill_null(0))
        .sort(_KEY)
        .with_columns(late_so_far=pl.col("late_count").cum_sum().over("venue", "symbol"))
    )


def _agrees() -> pl.Expr:
    exact = [pl.col(name).eq_missing(pl.col(f"{name}_batch")) for name in EXACT]
    sums = [_is_close(pl.col(name), pl.col(f"{name}_batch")) for name in SUMS]
    return pl.all_horizontal(*exact, *sums)


def _is_close(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    # Relative to the greater of the two, so that 0 equals only 0.
    bound = RELATIVE_TOLERANCE * pl.max_horizontal(left.abs(), right.abs())
    return (left - right).abs() <= bound


def _is_explained() -> pl.Expr:
    counted = pl.col("trade_count_batch") - pl.col("trade_count") == pl.col("late_count")
    # A quiet window repeats the close before it, which a late trade may have changed.
    carried = (pl.col("trade_count_batch") == 0) & (pl.col("late_so_far") > 0)
    return (counted & (pl.col("late_count") > 0)) | carried
