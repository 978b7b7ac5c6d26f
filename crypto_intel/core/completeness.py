"""What a bar's missing trades mean once the venue has been asked for them.

The fold that stream and batch share (streaming.transforms.bars) knows which ids are missing, not whether they can still
come. The ledger of gaps does.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from crypto_intel.core.gaps import unrecoverable_ids

_MARKET = ["venue", "symbol"]


def with_unrecoverable(bars: pl.DataFrame, before: pl.DataFrame, statuses: pl.DataFrame) -> pl.DataFrame:
    """The bars, with `unrecoverable` for those that lack only trades that the venue no longer has.

    Args:
        bars: rows of gold.bars_1m; order does not matter.
        before: the last trade of each market before the first bar: venue, symbol, trade_id.
        statuses: rows of bronze.feed_status.
    """
    lost = unrecoverable_ids(statuses)
    if lost.is_empty():
        return bars
    lacking = _lacking(bars, before).join(lost.select(_MARKET).unique(), on=_MARKET, how="semi")
    rows = [
        (row["venue"], row["symbol"], row["window_start"], "unrecoverable", reason)
        for row in lacking.iter_rows(named=True)
        if (reason := _reason(row, lost))
    ]
    schema = {name: bars.schema[name] for name in (*_MARKET, "window_start", "completeness", "completeness_reason")}
    return bars.update(pl.DataFrame(rows, schema=schema, orient="row"), on=[*_MARKET, "window_start"])


def _lacking(bars: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """venue, symbol, window_start, from_id, to_id, missing: of partial bars that lack ids of what they span."""
    earlier = pl.coalesce(pl.col("last_trade_id").forward_fill().shift(1).over(_MARKET), "trade_id")
    first = pl.when(earlier < pl.col("last_trade_id")).then(earlier + 1).otherwise("first_trade_id")
    return (
        bars.sort(*_MARKET, "window_start")
        .join(before.select(*_MARKET, "trade_id"), on=_MARKET, how="left", maintain_order="left")
        .with_columns(from_id=first, to_id="last_trade_id")
        .with_columns(missing=pl.col("to_id") - pl.col("from_id") + 1 - pl.col("trade_count"))
        .filter((pl.col("completeness") == "partial") & (pl.col("missing") > 0))
        .select(*_MARKET, "window_start", "from_id", "to_id", "missing")
    )


def _reason(row: dict[str, Any], lost: pl.DataFrame) -> str:
    own = lost.filter(
        *(pl.col(name) == row[name] for name in _MARKET),
        pl.col("first_id") <= row["to_id"],
        pl.col("last_id") >= row["from_id"],
    ).with_columns(pl.col("first_id").clip(row["from_id"]), pl.col("last_id").clip(upper_bound=row["to_id"]))
    gone = int((own["last_id"] - own["first_id"] + 1).sum())
    if gone != row["missing"]:
        return ""
    return f"{gone} trade ids that the venue no longer has: {own['reason'][0]}"
