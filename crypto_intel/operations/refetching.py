"""Gaps that their producers leave open, read from the lake: for the sensor that asks for runs and for the runs.

What belongs here: reading the ledger's statuses and the trades around a gap. What does not: which ids and when
(core/refetching.py), what a repair brought is made into (operations/repairs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from crypto_intel.contracts.events import GAP_STATUSES
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES
from crypto_intel.core.gaps import open_ids
from crypto_intel.core.refetching import Policy, Stretch, cut_to, place
from crypto_intel.resources.lake import Lake
from streaming.producers.gaps import Gap
from streaming.producers.missing import Missing
from streaming.producers.repair_settings import RepairSettings

REACH = timedelta(days=2)
"""Platform time back in which open gaps are looked for by themselves; what is older is a person's to ask for."""

OVERLAP = timedelta(minutes=2)
"""How far behind what is known statuses are read again: partitions of topics are not equally far."""

AROUND_IDS = 10_000
"""Trades before a gap are looked for among so many ids."""

LOOKBACK_DAYS = (1, 30)
"""The trade before a gap is mostly of the same day, of an earlier one where the feed was away for long."""


class Plan(NamedTuple):
    """What a run asks the venue for, and ids that were told as missing and are here all the same."""

    wanted: list[Missing]
    here: list[Missing]


def policy() -> Policy:
    """As the settings say."""
    settings = RepairSettings()
    own = settings.refetch
    return Policy(timedelta(seconds=settings.refetch_after_s), timedelta(seconds=own.wait_max_s), own.limit_ids)


def is_anything_told(lake: Lake, since: datetime) -> bool:
    """Whether a feed has said something of missing ids since then (platform clock)."""
    return not _told(lake, since - OVERLAP).select("venue").head(1).collect().is_empty()


def missing_ids(lake: Lake, since: datetime | None = None) -> pl.DataFrame:
    """Rows of core.gaps.open_ids, of gaps told since then (platform clock) or of all."""
    return open_ids(_told(lake, since).collect())


def _told(lake: Lake, since: datetime | None) -> pl.LazyFrame:
    statuses = lake.scan(BRONZE_FEED_STATUS).filter(pl.col("status").is_in(GAP_STATUSES))
    if since is None:
        return statuses
    return statuses.filter(pl.col("event_date") >= since.date(), pl.col("event_time") >= since)


def plan(lake: Lake, venue: str, asked: Sequence[Stretch], limit_ids: int) -> Plan:
    """What is missing still of the ids asked, or of all that is missing of the venue where none are named.

    Args:
        limit_ids: at most so many ids; where none are named, of the newest gaps first.
    """
    clock = lake.platform_time()
    since = clock - 2 * REACH if asked and clock else None  # what a sensor asked for is no older
    missing = missing_ids(lake, since).filter(pl.col("venue") == venue)
    missing = missing.sort("found_at", "first_id", descending=[True, False])
    every = [Stretch(*row) for row in missing.select("symbol", "first_id", "last_id").iter_rows()]
    stretches = _up_to(cut_to(missing, asked) if asked else every, limit_ids)
    if not stretches:
        return Plan([], [])
    return _placed(lake, venue, stretches, missing["found_at"].min(), missing["found_at"].max())  # type: ignore[arg-type]


def _up_to(stretches: Sequence[Stretch], limit_ids: int) -> list[Stretch]:
    kept: list[Stretch] = []
    for stretch in stretches:
        if limit_ids > 0:
            kept.append(stretch._replace(last_id=min(stretch.last_id, stretch.first_id + limit_ids - 1)))
            limit_ids -= kept[-1].size
    return kept


def _placed(lake: Lake, venue: str, stretches: Sequence[Stretch], first: datetime, last: datetime) -> Plan:
    found = Plan([], [])
    for symbol in sorted({stretch.symbol for stretch in stretches}):
        own = [stretch for stretch in stretches if stretch.symbol == symbol]
        for days in LOOKBACK_DAYS:
            ids, times_us = _trades_around(lake, venue, own, first - timedelta(days=days), last)
            if ids and ids[0] < min(stretch.first_id for stretch in own):
                break
        for stretch in own:
            split = place(stretch, ids, times_us)
            found.here.extend(Missing(symbol, Gap(*piece)) for piece in split.here)
            found.wanted.extend(Missing(symbol, Gap(*piece, since)) for piece, since in split.absent)
    return found


def _trades_around(
    lake: Lake, venue: str, stretches: Sequence[Stretch], first: datetime, last: datetime
) -> tuple[list[int], list[int]]:
    # Ids and event times (µs) of the trades in the stretches of a market, and of those close before them.
    near = pl.any_horizontal(pl.col("trade_id").is_between(s.first_id - AROUND_IDS, s.last_id) for s in stretches)
    trades = (
        lake.scan(BRONZE_TRADES)
        .filter(
            pl.col("event_date").is_between(first.date(), last.date() + timedelta(days=1)),
            pl.col("venue") == venue,
            pl.col("symbol") == stretches[0].symbol,
            near,
        )
        .group_by("trade_id")
        .agg(pl.col("event_time").min().dt.epoch("us"))
        .sort("trade_id")
        .collect()
    )
    return trades["trade_id"].to_list(), trades["event_time"].to_list()
