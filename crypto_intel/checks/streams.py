"""Every check of streams and of freshness: which asset is judged by what, with which bound, and what to do.

What belongs here: reading what a check judges. What does not: how Dagster knows a check (factories.py), checks of an
hour's tables (hours.py), and judgements (core/).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.checks.factories import RECENT, Outcome, Readers, StreamCheck, freshness_check, recent_rows_check
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import GOLD_BARS_1H, GOLD_INDICATORS, GOLD_MARKET_SUMMARY
from crypto_intel.contracts.parts import NEWS_FEEDS, TRADE_VENUES
from crypto_intel.contracts.serving import BARS_1M as SERVED_BARS
from crypto_intel.contracts.serving import MARKET_ENRICHED as SERVED_ENRICHED
from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    BRONZE_TRADES,
    GOLD_MARKET_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    SILVER_BAR_NEWS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_GAPS,
    SILVER_TRADES,
)
from crypto_intel.core.gaps import open_since, recent_ledger
from crypto_intel.core.hours import FEED_FORGOTTEN_AFTER, read_clocks
from crypto_intel.core.macro import known_on
from crypto_intel.graph.reports import markdown
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel.operations.notifying import troubled_channels
from crypto_intel.resources import cache

DEAD_AFTER = timedelta(seconds=30)
"""Feeds beat every 2 s; Kafka taking nothing for this long (wall clock) means that the feed is dead, not quiet."""


def _newest(table: Table) -> Callable[[Readers], datetime | None]:
    def read(readers: Readers) -> datetime | None:
        facts = readers.lake.facts(table)
        return facts.newest if facts else None

    return read


def _newest_served(readers: Readers) -> datetime | None:
    with readers.postgres.connect() as connection:
        row = connection.execute("SELECT max(window_start) FROM public.market_enriched").fetchone()
    return row[0] if row else None


def _newest_macro(readers: Readers) -> datetime | None:
    clock = readers.lake.platform_time()
    if clock is None:
        return None
    years = [str(clock.year - 1), str(clock.year)]
    rows = readers.lake.scan(MACRO_FRED_OBSERVATIONS).filter(pl.col("observation_year").is_in(years)).collect()
    newest = known_on(rows, clock.date())["observation_date"].max()
    return datetime.combine(newest, datetime.min.time(), UTC) if newest else None  # type: ignore[arg-type]


def _first_hour_is_over(readers: Readers, clock: datetime) -> bool:
    oldest = readers.lake.time_spans(BRONZE_TRADES)["oldest"].min()
    return isinstance(oldest, datetime) and clock - oldest > BATCH_BOUND


def _macro_is_wanted(readers: Readers, _clock: datetime) -> bool:
    return readers.lake.open(MACRO_FRED_OBSERVATIONS) is not None


def _feeds_alive(readers: Readers) -> Outcome:
    newest = readers.lake.platform_time()
    if newest is None:
        return Outcome(passed=True, metadata={"feeds": 0})
    since = newest - RECENT
    status = readers.lake.scan(BRONZE_FEED_STATUS).filter(
        (pl.col("event_date") >= since.date()) & (pl.col("event_time") >= since)
    )
    now = datetime.now(UTC)
    silent_s: dict[str, float] = {}
    for clocks in (read_clocks(status, topic) for topic in (Settings().topics.trades, Settings().topics.news)):
        for place, clock in clocks.items():
            silent_s[place] = 0.0 if clock.ended else round((now - clock.taken_at).total_seconds(), 1)
    heard = {place.partition("/")[0] for place in silent_s}
    silent_s |= {venue: age_s for venue, age_s in _unheard_s(readers, newest).items() if venue not in heard}
    worst = max(silent_s.values(), default=0.0)
    return Outcome(worst <= DEAD_AFTER.total_seconds(), {"silent_s": worst, "by_feed": dg.MetadataValue.json(silent_s)})


_LAST_HEARD = (
    "SELECT venue, event_time FROM public.feeds "
    "WHERE stream = 'heartbeat' AND state <> 'ended' AND event_time > %s AND venue = ANY(%s)"
)


def _unheard_s(readers: Readers, newest: datetime) -> dict[str, float]:
    # Feeds that beat within the day but not lately: how far they are behind the others. One that is silent for longer
    # was switched off.
    if not readers.postgres.is_configured():
        return {}
    venues = [*TRADE_VENUES, *NEWS_FEEDS]
    with readers.postgres.connect() as connection:
        rows = connection.execute(_LAST_HEARD, (newest - FEED_FORGOTTEN_AFTER, venues)).fetchall()
    return {venue: round((newest - heard_at).total_seconds(), 1) for venue, heard_at in rows}


OPEN_GAP_BOUND = timedelta(minutes=15)
"""By the platform clock: repairs are tried for minutes; what is open for longer needs someone to look."""

RECENT_GAPS = timedelta(days=2)
"""Statuses of gaps that are read anew every minute; of older gaps the ledger of the last hour's run is taken."""


def _no_gap_stays_open(readers: Readers) -> Outcome:
    clock = readers.lake.platform_time()
    if clock is None:
        return Outcome(passed=True, metadata={"open": 0, "open_too_long": 0})
    since = clock - RECENT_GAPS
    ledger = recent_ledger(readers.lake.scan(BRONZE_FEED_STATUS), readers.lake.scan(SILVER_GAPS), since)
    overdue = open_since(ledger, clock, OPEN_GAP_BOUND)
    metadata: dict[str, Any] = {
        "open": ledger.filter(pl.col("state") == "open").height,
        "open_too_long": overdue.height,
        "platform_clock": dg.MetadataValue.timestamp(clock),
    }
    if overdue.height:
        shown = overdue.head(MAX_GAPS_SHOWN).select("venue", "symbol", "first_id", "last_id", "found_at", "reason")
        metadata["gaps"] = dg.MetadataValue.md(markdown(shown))
    return Outcome(overdue.is_empty(), metadata)


CACHE_BOUND = timedelta(minutes=3)
"""How far the cache may be behind: it is written right behind PostgreSQL, and rebuilt within 30 s of a return."""


def _cache_agrees(readers: Readers) -> Outcome:
    if not cache.is_configured():
        return Outcome(passed=True, metadata={"markets": 0, "cache": "none is set"})
    with readers.postgres.connect() as connection:
        bars = cache.compared_bars(connection)
    lags = pl.col("newest_served") - pl.col("window_start") > CACHE_BOUND
    wrong = bars.filter(~pl.col("cached_close").eq_missing(pl.col("served_close")) | lags.fill_null(value=True))
    metadata: dict[str, Any] = {"markets": bars.height, "wrong": wrong.height}
    if wrong.height:
        metadata["rows"] = dg.MetadataValue.md(markdown(wrong.head(MAX_GAPS_SHOWN)))
    return Outcome(wrong.is_empty(), metadata)


def _channels_deliver(readers: Readers) -> Outcome:
    with readers.postgres.connect() as connection:
        troubled = troubled_channels(connection)
    metadata: dict[str, Any] = {"channels_in_trouble": len(troubled)}
    if troubled:
        metadata["channels"] = dg.MetadataValue.md(markdown(pl.DataFrame(troubled), cell_chars=200))
    return Outcome(not troubled, metadata)


MAX_GAPS_SHOWN = 20
TRADES_BOUND = timedelta(seconds=45)
"""Less than a minute: the least that Dagster's own freshness policies know. The busiest market trades every second."""

BATCH_BOUND = timedelta(hours=2, minutes=15)
"""The running hour, the one before it until its end is drained (6 minutes), and the run itself."""

_CHECK_STREAM = "look at the streaming job in front of it (lag, report age), then at its log."
_CHECK_HOURS = "look at hour_closed_sensor's last ticks and at the last market_hour runs."

STREAM_CHECKS: list[StreamCheck] = [
    *(recent_rows_check(t) for t in (BRONZE_TRADES, BRONZE_NEWS, BRONZE_FEED_STATUS)),
    *(recent_rows_check(t) for t in (SILVER_BARS_1M, SILVER_BARS_5M, SILVER_BAR_NEWS)),
    StreamCheck(
        ALERT_KEY,
        "channels_deliver",
        "Every channel takes what it is sent, at the first try.",
        "last_error says why; look at the channel's address (CRYPTO_INTEL_CHANNELS__NAME); tries go on by themselves.",
        _channels_deliver,
        severity=dg.AssetCheckSeverity.WARN,
    ),
    StreamCheck(
        key_of(BRONZE_FEED_STATUS),
        "feeds_alive",
        f"Kafka took a heartbeat of every feed within {int(DEAD_AFTER.total_seconds())} s, or the feed said it ended.",
        "the producer is down or cut off from its venue; its log says which.",
        _feeds_alive,
        patience=DEAD_AFTER,
    ),
    StreamCheck(
        key_of(SILVER_GAPS),
        "no_gap_stays_open",
        f"No gap is open for longer than {int(OPEN_GAP_BOUND.total_seconds() / 60)} minutes of the platform clock.",
        "the venue's REST did not give the ids below: the producer's log and the last missing_trades runs say why; "
        "open_gaps_sensor asks again with growing waits, `crypto-intel backfill gaps` at once.",
        _no_gap_stays_open,
        dg.AssetCheckSeverity.WARN,
        OPEN_GAP_BOUND,
    ),
    StreamCheck(
        dg.AssetKey(["publish", SERVED_BARS.name]),
        "cache_agrees",
        "Each market's bar in Redis is the one that PostgreSQL has of that minute, and at most 3 minutes behind.",
        "the cache is rebuilt when the publishing job reconnects: restart it, and look at its log for Redis.",
        _cache_agrees,
        dg.AssetCheckSeverity.WARN,
        CACHE_BOUND,
    ),
    freshness_check(key_of(BRONZE_TRADES), TRADES_BOUND, _newest(BRONZE_TRADES), _CHECK_STREAM),
    freshness_check(key_of(SILVER_BARS_1M), timedelta(minutes=5), _newest(SILVER_BARS_1M), _CHECK_STREAM),
    freshness_check(
        key_of(SILVER_TRADES), BATCH_BOUND, _newest(SILVER_TRADES), _CHECK_HOURS, is_due=_first_hour_is_over
    ),
    freshness_check(
        key_of(GOLD_MARKET_ENRICHED),
        BATCH_BOUND,
        _newest(GOLD_MARKET_ENRICHED),
        _CHECK_HOURS,
        is_due=_first_hour_is_over,
    ),
    *(
        freshness_check(key_of(table), BATCH_BOUND, _newest(table), _CHECK_HOURS, is_due=_first_hour_is_over)
        for table in (GOLD_BARS_1H, GOLD_INDICATORS, GOLD_MARKET_SUMMARY)
    ),
    freshness_check(
        key_of(MACRO_FRED_OBSERVATIONS),
        timedelta(days=10),
        _newest_macro,
        "look at macro_sensor's last ticks and at FRED's answer in the last macro_years run.",
        is_due=_macro_is_wanted,
        patience=timedelta(hours=1),
    ),
    freshness_check(
        dg.AssetKey(["publish", SERVED_ENRICHED.name]), timedelta(minutes=5), _newest_served, _CHECK_STREAM
    ),
]
"""Every check that stream_checks_sensor judges."""
