"""The audit's first hops: what the source says it sent, what Kafka holds, and whether bronze has each id and offset."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from crypto_intel.core.audit_facts import Facts, Finding, counted, markets_of
from streaming.transforms import intervals

_IDS = ["first_id", "last_id"]
_IS_UNNUMBERED = pl.col("trade_id") < 0  # trades of a protocol without ids; theirs are digests of what they are


def audit_source(facts: Facts) -> Iterator[Finding]:
    """Source, Kafka and bronze compared."""
    yield from _source_to_bronze(facts)
    yield from _unnumbered_to_bronze(facts)
    yield from _kafka_to_bronze(facts)
    yield from _ids_are_contiguous(facts)


def waiting_records(facts: Facts) -> int:
    """Records behind bronze's newest offsets on a stopped platform: the next start reads them."""
    if not facts.is_stopped:
        return 0
    return int(_partitions(facts)["waiting"].sum())


def _ids(facts: Facts, market: str) -> list[intervals.Interval]:
    own = facts.trades.filter(pl.col("market") == market, ~_IS_UNNUMBERED)["trade_id"]
    return intervals.from_ids(own.to_numpy())


def _listed(facts: Facts, market: str) -> list[intervals.Interval]:
    # An id that was listed and then reported as repaired is owed again: it must be here.
    own = facts.gaps.filter(pl.col("market") == market)
    repaired, missing = own.filter(pl.col("state") == "repaired"), own.filter(pl.col("state") != "repaired")
    return intervals.difference(*(intervals.union([], rows.select(_IDS).iter_rows()) for rows in (missing, repaired)))


def _unrecoverable(facts: Facts, market: str) -> list[intervals.Interval]:
    # Of what is listed, the ids that the venue said it no longer has.
    own = facts.gaps.filter(pl.col("market") == market, pl.col("state") == "unrecoverable")
    gone = intervals.union([], own.select(_IDS).iter_rows())
    return list(_overlap(gone, _listed(facts, market)))


def _size(covered: list[intervals.Interval]) -> int:
    return sum(last - first + 1 for first, last in covered)


def _source_to_bronze(facts: Facts) -> Iterator[Finding]:
    if facts.sent is None:
        return
    for market in markets_of(facts.sent):
        rows = facts.sent.filter(pl.col("market") == market).select("first_id", "last_id")
        sent = intervals.union([], rows.iter_rows())
        owed = sent if facts.before is None else _sent_before(facts.before, market)
        got = _ids(facts, market)
        lost = sum(intervals.missing(got, first, last) for first, last in owed)
        listed = sum(intervals.missing(got, *part) for part in _overlap(owed, _listed(facts, market)))
        gone = sum(intervals.missing(got, *part) for part in _overlap(owed, _unrecoverable(facts, market)))
        waiting = min(waiting_records(facts), _behind(sent, got) if facts.is_stopped else 0)
        foreign = sum(intervals.missing(sent, first, last) for first, last in got)
        parts = {
            "ids that the source never sent": foreign,
            "listed as gaps": listed,
            "of these unrecoverable": gone,
            "wait in Kafka": waiting,
        }
        yield Finding(
            "source -> bronze",
            f"{market} trade ids",
            _size(owed),
            _size(got),
            unexplained=max(0, lost - listed - waiting) + foreign,
            explained=listed + waiting,
            note=counted(parts),
        )


def _unnumbered_to_bronze(facts: Facts) -> Iterator[Finding]:
    if facts.unnumbered is None:
        return
    earlier = facts.unnumbered if facts.before is None else facts.before.unnumbered
    owed = {} if earlier is None else dict(earlier.iter_rows())
    for market, sent in facts.unnumbered.sort("market").iter_rows():
        found = facts.trades.filter(pl.col("market") == market, _IS_UNNUMBERED)["trade_id"].n_unique()
        lost, foreign = max(0, owed.get(market, 0) - found), max(0, found - sent)
        waiting = min(waiting_records(facts), lost)
        parts = {"missing": lost - waiting, "more than the source sent": foreign, "wait in Kafka": waiting}
        yield Finding(
            "source -> bronze",
            f"{market} trades without ids",
            owed.get(market, 0),
            found,
            unexplained=lost - waiting + foreign,
            explained=waiting,
            note=counted(parts),
        )


def _sent_before(before: Facts, market: str) -> list[intervals.Interval]:
    if before.sent is None:
        return []
    return intervals.union([], before.sent.filter(pl.col("market") == market).select(_IDS).iter_rows())


def _behind(sent: list[intervals.Interval], got: list[intervals.Interval]) -> int:
    # Ids that the source sent after the last one that is here.
    last_here = got[-1][1] if got else -1
    return _size(intervals.difference(sent, [(0, last_here)])) if sent else 0


def _partitions(facts: Facts) -> pl.DataFrame:
    joined = facts.kafka.join(facts.bronze_offsets, on=["topic", "partition"], how="left")
    behind = pl.col("high") - pl.max_horizontal(pl.col("newest").fill_null(-1) + 1, "low")
    waiting = behind if facts.is_stopped else pl.lit(0, pl.Int64)
    return joined.with_columns(pl.col("rows", "distinct").fill_null(0), waiting=waiting)


def _overlap(left: list[intervals.Interval], right: list[intervals.Interval]) -> Iterator[intervals.Interval]:
    for first, last in left:
        for start, end in right:
            if start <= last and end >= first:
                yield max(first, start), min(last, end)


def _kafka_to_bronze(facts: Facts) -> Iterator[Finding]:
    for row in _partitions(facts).sort("topic", "partition").iter_rows(named=True):
        records = row["high"] - row["low"]
        lost, doubled = records - row["waiting"] - row["distinct"], row["rows"] - row["distinct"]
        parts = {"offsets missing": lost, "rows doubled": doubled, "wait in Kafka": row["waiting"]}
        yield Finding(
            "Kafka -> bronze",
            f"{row['topic']}[{row['partition']}] records",
            records,
            row["rows"],
            unexplained=abs(lost) + doubled,
            explained=row["waiting"],
            note=counted(parts),
        )


def _ids_are_contiguous(facts: Facts) -> Iterator[Finding]:
    for market in markets_of(facts.trades.filter(~_IS_UNNUMBERED)):
        got = _ids(facts, market)
        absent = intervals.holes(got)
        listed = _size(list(_overlap(absent, _listed(facts, market))))
        spanned = got[-1][1] - got[0][0] + 1
        yield Finding(
            "bronze: ids",
            f"{market} ids from first to last",
            spanned,
            _size(got),
            unexplained=_size(absent) - listed,
            explained=listed,
            note="listed as gaps" if listed else "",
        )
