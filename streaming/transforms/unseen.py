"""Which trades are new: one record of each trade id, whatever came twice, for all markets of a partition at once.

Numbered trades are looked up in the intervals of ids that their market has seen; unnumbered ones (negative ids, which
are digests) in the digests of the windows that are still open. An unnumbered trade that comes again after its window
was written is late anyway, and listed as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from streaming.transforms.intervals import Interval

_KEY = ["market", "trade_id"]


class Remembers(Protocol):
    """What a market's state must hold."""

    seen: list[Interval]
    digests: dict[int, int]


def unseen(states: Mapping[str, Remembers], trades: pl.DataFrame) -> pl.DataFrame:
    """The first record of each id that no earlier batch brought, sorted by market and id.

    Of two records of one id the streamed one counts before the one from REST, whichever came first.

    Args:
        states: of each market among the trades; digests of new unnumbered trades are added to them.
        trades: decode.TRADE_EVENTS; with `is_late` (lateness.py), an id is late if all of its records are.
    """
    ordered = trades.sort("market", "trade_id", "is_rest", maintain_order=True)
    is_repeat = (pl.col("market") == pl.col("market").shift()) & (pl.col("trade_id") == pl.col("trade_id").shift())
    ordered = ordered.with_columns(_is_repeat=is_repeat.fill_null(False))
    once = ordered.filter(~pl.col("_is_repeat")).drop("_is_repeat")
    if "is_late" in trades.columns:
        once = _on_time_if_any_is(once, ordered.filter(pl.col("_is_repeat") & ~pl.col("is_late")))
    return _unseen_digests(states, _outside(states, once))


def _on_time_if_any_is(once: pl.DataFrame, repeats: pl.DataFrame) -> pl.DataFrame:
    # Of two records of one id the one that came first may be the other one.
    if repeats.is_empty() or not once["is_late"].any():
        return once
    known = repeats.select(_KEY).unique().with_columns(_is_on_time=True)
    marked = once.join(known, on=_KEY, how="left", maintain_order="left")
    return marked.with_columns(is_late=pl.col("is_late") & pl.col("_is_on_time").is_null()).drop("_is_on_time")


def _outside(states: Mapping[str, Remembers], once: pl.DataFrame) -> pl.DataFrame:
    # The interval that begins at or before an id covers it, or none does.
    rows = [(market, first, last) for market, state in states.items() for first, last in state.seen]
    if not rows or once.is_empty():
        return once
    schema: dict[str, Any] = {"market": once.schema["market"], "_first": pl.Int64, "_last": pl.Int64}
    known = pl.DataFrame(rows, schema=schema, orient="row").sort("market", "_first")
    nearest = once.join_asof(
        known, left_on="trade_id", right_on="_first", by="market", strategy="backward", check_sortedness=False
    )
    is_known = (pl.col("trade_id") <= pl.col("_last")).fill_null(False)
    return nearest.filter(~is_known).select(once.columns)


def _unseen_digests(states: Mapping[str, Remembers], fresh: pl.DataFrame) -> pl.DataFrame:
    digests = fresh.filter(pl.col("trade_id") < 0)
    if digests.is_empty():
        return fresh
    known = []
    for market, digest, at in digests.select(*_KEY, "event_time").iter_rows():
        if digest in states[market].digests:
            known.append((market, digest))
        states[market].digests[digest] = at
    repeats = pl.DataFrame(known, schema=fresh.select(_KEY).schema, orient="row")
    return fresh.join(repeats, on=_KEY, how="anti", maintain_order="left")


def seen_runs(fresh: pl.DataFrame) -> dict[str, list[Interval]]:
    """Intervals of the numbered ids of each market. `fresh`: as `unseen` gives it."""
    numbered = fresh.filter(pl.col("trade_id") >= 0).select(_KEY)
    begins = (pl.col("trade_id") - pl.col("trade_id").shift() != 1) | (pl.col("market") != pl.col("market").shift())
    runs = (
        numbered.with_columns(run=begins.fill_null(True).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("market").first(), pl.col("trade_id").first().alias("first"), pl.col("trade_id").last().alias("last")
        )
    )
    found: dict[str, list[Interval]] = {}
    for _, market, first, last in runs.iter_rows():
        found.setdefault(market, []).append((first, last))
    return found
