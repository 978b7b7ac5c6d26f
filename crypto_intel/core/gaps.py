"""The ledger of gaps: what feeds said of missing trade ids, folded into one row a gap.

What belongs here: the fold, and the event times around a gap. What does not: reading tables, writing the ledger.
The ledger is a function of the set of statuses: their order and repetition do not matter. An id counts as repaired
from the first repair that names it, even if the venue was said to have lost it; it counts as unrecoverable only if no
repair ever named it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from crypto_intel.contracts.events import GAP_STATUSES
from crypto_intel.contracts.tables import SILVER_GAPS
from crypto_intel.core.frames import UTC_US, polars_schema
from streaming.transforms.intervals import Interval, difference

SPAN_PATIENCE = timedelta(days=2)
"""How long, by the newest gap's clock, the trades around a gap are looked for: repairs come within minutes."""

_MARKET = ["venue", "symbol"]
_KEY = [*_MARKET, "first_id"]
_SPAN = ["span_start", "span_end"]
_SCHEMA = polars_schema(SILVER_GAPS)
OPEN_SCHEMA = pl.Schema(
    {"venue": pl.String, "symbol": pl.String, "gap_id": pl.Int64, "first_id": pl.Int64, "last_id": pl.Int64}
    | {"found_at": UTC_US}
)
"""What `open_ids` gives."""


class _Piece(NamedTuple):
    """Ids that one status named first, with what it said: its time, or its reason."""

    first: int
    last: int
    told: Any


class _Told:
    """Disjoint pieces in order of id: of each id what was told of it first."""

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []

    def add(self, first: int, last: int, told: object) -> None:
        """Take the ids of which nothing was told yet."""
        known = [(piece.first, piece.last) for piece in self.within(first, last)]
        for start, end in difference([(first, last)], known):
            insort(self.pieces, _Piece(start, end, told), key=lambda piece: piece.first)

    def within(self, first: int, last: int) -> list[_Piece]:
        """Pieces that meet first..last, cut to it."""
        at = bisect_left(self.pieces, first, key=lambda piece: piece.last)
        found = []
        while at < len(self.pieces) and self.pieces[at].first <= last:
            piece = self.pieces[at]
            found.append(_Piece(max(first, piece.first), min(last, piece.last), piece.told))
            at += 1
        return found


def fold(statuses: pl.DataFrame) -> pl.DataFrame:
    """The ledger: rows of silver.gaps, sorted by key, without the event times around the gaps.

    Gaps of a market that begin with the same id are one, as long as the longest of them. Statuses that name no ids,
    or ids in the wrong order, are left out.

    Args:
        statuses: rows of bronze.feed_status; other statuses than GAP_STATUSES are left out.
    """
    told = statuses.filter(
        pl.col("status").is_in(GAP_STATUSES)
        & pl.col("symbol").is_not_null()
        & (pl.col("first_id") <= pl.col("last_id"))
    ).sort("received_at", "first_id", "last_id", "detail")
    repaired = _by_market(told.filter(pl.col("status") == "repaired"), "received_at")
    lost = _by_market(told.filter(pl.col("status") == "unrecoverable"), "detail")
    announced = (
        told.filter(pl.col("status") == "gap")
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("last_id").max(),
            pl.col("received_at").first().alias("found_at"),
            pl.col("detail").first().alias("reason"),
        )
        .sort(_KEY)
    )
    rows = [_row(gap, repaired, lost) for gap in announced.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _by_market(statuses: pl.DataFrame, what: str) -> Mapping[tuple[str, str], _Told]:
    found: dict[tuple[str, str], _Told] = defaultdict(_Told)
    for venue, symbol, first, last, told in statuses.select(*_KEY, "last_id", what).iter_rows():
        found[venue, symbol].add(first, last, told)
    return found


def _row(
    gap: dict[str, Any], repaired: Mapping[tuple[str, str], _Told], lost: Mapping[tuple[str, str], _Told]
) -> dict[str, Any]:
    market, first, last = (gap["venue"], gap["symbol"]), gap["first_id"], gap["last_id"]
    back = repaired[market].within(first, last)
    gone = [
        (rest, piece.told)
        for piece in lost[market].within(first, last)
        for rest in difference([(piece.first, piece.last)], [(part.first, part.last) for part in back])
    ]
    size, back_count = last - first + 1, _size((part.first, part.last) for part in back)
    gone_count = _size(rest for rest, _ in gone)
    return {
        **gap,
        "state": state_of(size, back_count, gone_count),
        "repaired_at": max(part.told for part in back) if back_count == size else None,
        "repaired_count": back_count,
        "unrecoverable_count": gone_count,
        "unrecoverable_reason": gone[0][1] if gone else "",
    }


def state_of(size: int, repaired_count: int, unrecoverable_count: int) -> str:
    """The state of a gap of `size` ids."""
    if repaired_count + unrecoverable_count < size:
        return "open"
    return "unrecoverable" if unrecoverable_count else "repaired"


def _size(intervals: Iterable[Interval]) -> int:
    return sum(last - first + 1 for first, last in intervals)


def with_spans(ledger: pl.DataFrame, known: pl.DataFrame, trades: pl.LazyFrame) -> pl.DataFrame:
    """The ledger with the event times of the trades right before and after each gap.

    Times that an earlier ledger has are taken from it, so that each gap's trades are looked for once, or for
    SPAN_PATIENCE where they are not there.

    Args:
        ledger: as `fold` gives it.
        known: an earlier ledger.
        trades: rows of bronze.trades.
    """
    earlier = known.select(*_KEY, "last_id", *_SPAN)
    carried = ledger.drop(_SPAN).join(earlier, on=[*_KEY, "last_id"], how="left")
    wanted = carried.filter(_lacks_span(carried["found_at"].max()))
    found = _times(wanted, trades)
    for column, neighbour in (("span_start", pl.col("first_id") - 1), ("span_end", pl.col("last_id") + 1)):
        carried = (
            carried.with_columns(trade_id=neighbour)
            .join(found, on=[*_MARKET, "trade_id"], how="left")
            .with_columns(pl.coalesce(column, "event_time").alias(column))
            .drop("trade_id", "event_time")
        )
    return carried.select(_SCHEMA.names()).sort(_KEY)


def _lacks_span(newest: object) -> pl.Expr:
    if not isinstance(newest, datetime):
        return pl.lit(value=False)
    lacks = pl.any_horizontal(pl.col(name).is_null() for name in _SPAN)
    return lacks & (pl.col("found_at") >= newest - SPAN_PATIENCE)


def _times(wanted: pl.DataFrame, trades: pl.LazyFrame) -> pl.DataFrame:
    """venue, symbol, trade_id, event_time of the trades next to the gaps."""
    ids = pl.concat(
        wanted.select(*_MARKET, neighbour.alias("trade_id"))
        for neighbour in (pl.col("first_id") - 1, pl.col("last_id") + 1)
    ).unique()
    return (
        trades.filter(pl.col("event_date").is_in(_days_around(wanted["found_at"].dt.date().unique().to_list())))
        .select(*_MARKET, "trade_id", "event_time")
        .join(ids.lazy(), on=[*_MARKET, "trade_id"], how="semi")
        .group_by(*_MARKET, "trade_id")
        .agg(pl.col("event_time").min())
        .collect()
    )


def _days_around(days: Sequence[date]) -> list[date]:
    # The trade before may be of the day before, the one after of the day after.
    return sorted({day + timedelta(days=by) for day in days for by in (-1, 0, 1)})


def recent_ledger(statuses: pl.LazyFrame, ledger: pl.LazyFrame, since: datetime) -> pl.DataFrame:
    """The ledger as of now, without the event times: what was told since is folded anew.

    Args:
        statuses: rows of bronze.feed_status.
        ledger: rows of silver.gaps; those found before `since` are taken as they are.
        since: platform clock.
    """
    told = statuses.filter(pl.col("event_date") >= since.date(), pl.col("status").is_in(GAP_STATUSES))
    recent = fold(told.filter(pl.col("received_at") >= since).collect())
    older = ledger.filter(pl.col("found_at") < since).collect()
    return pl.concat([older, recent.join(older, on=_KEY, how="anti")])


def open_since(ledger: pl.DataFrame, clock: datetime, patience: timedelta) -> pl.DataFrame:
    """Gaps that are open for longer than `patience` at a time of the platform clock, oldest first."""
    return ledger.filter((pl.col("state") == "open") & (pl.col("found_at") < clock - patience)).sort("found_at")


def open_ids(statuses: pl.DataFrame) -> pl.DataFrame:
    """Ids that are missing and may still come: venue, symbol, gap_id, first_id, last_id, found_at; disjoint, by id.

    `gap_id` is the first id of the gap that named them first, and `found_at` when it did (platform clock).

    Args:
        statuses: rows of bronze.feed_status.
    """
    told = statuses.filter(pl.col("symbol").is_not_null() & (pl.col("first_id") <= pl.col("last_id")))
    told = told.sort("received_at", "first_id", "last_id", "detail").with_columns(
        gap=pl.struct("first_id", "received_at")
    )
    announced = _by_market(told.filter(pl.col("status") == "gap"), "gap")
    settled = _by_market(told.filter(pl.col("status").is_in(["repaired", "unrecoverable"])), "status")
    rows = [
        (*market, piece.told["first_id"], first, last, piece.told["received_at"])
        for market, pieces in sorted(announced.items())
        for piece in pieces.pieces
        for first, last in difference(
            [(piece.first, piece.last)], [(p.first, p.last) for p in settled[market].within(piece.first, piece.last)]
        )
    ]
    return pl.DataFrame(rows, schema=OPEN_SCHEMA, orient="row")


def unrecoverable_ids(statuses: pl.DataFrame) -> pl.DataFrame:
    """Ids that the venue no longer gives: venue, symbol, first_id, last_id, reason; disjoint within a market."""
    told = statuses.filter(pl.col("status") == "unrecoverable").sort("received_at", "first_id", "last_id", "detail")
    rows = [
        (*market, *piece) for market, pieces in sorted(_by_market(told, "detail").items()) for piece in pieces.pieces
    ]
    schema = {"venue": pl.String, "symbol": pl.String, "first_id": pl.Int64, "last_id": pl.Int64, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
