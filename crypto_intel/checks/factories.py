"""Checks as Dagster knows them: factories from the contracts, and the judgement of streams by the platform clock.

What belongs here: wiring of core's judgements to assets. What does not: the judgements (core/checks.py, compare.py,
freshness.py) and where they stand in the graph (defs/quality). Each check says its severity and what to do.
"""

# No postponed annotations here: Dagster reads the types of a check's context and resources.
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import GOLD_BARS_1H, GOLD_INDICATORS, GOLD_MARKET_SUMMARY
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
from crypto_intel.core.checks import Findings, check_rows
from crypto_intel.core.freshness import Freshness
from crypto_intel.core.gaps import open_since, recent_ledger
from crypto_intel.core.hours import read_clocks
from crypto_intel.core.macro import known_on
from crypto_intel.core.quarantine import WHOLE, contract_breakers
from crypto_intel.graph.reports import markdown
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel.operations.notifying import troubled_channels
from crypto_intel.resources import cache
from crypto_intel.resources.delta_io import partition_filter
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.quarantine import Quarantine

RECENT = timedelta(minutes=2)
"""Stretch before a streamed table's newest row that its contract check reads: a sensor judges it every minute."""

MAX_RECENT_ROWS = 50_000
"""Bound of what such a check reads, however busy the market."""

DEAD_AFTER = timedelta(seconds=30)
"""Feeds beat every 2 s; Kafka taking nothing for this long (wall clock) means that the feed is dead, not quiet."""


@dataclass(frozen=True)
class Readers:
    """What checks read from."""

    lake: Lake
    postgres: Postgres


@dataclass(frozen=True)
class Outcome:
    """A check's verdict and what people see of it."""

    passed: bool
    metadata: dict[str, Any]


@dataclass(frozen=True)
class StreamCheck:
    """A check that no run triggers: judged by a sensor every minute, and by a person's click.

    `remedy` says what to do when it fails.
    """

    key: dg.AssetKey
    name: str
    description: str
    remedy: str
    judge: Callable[[Readers], Outcome]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    def definition(self) -> dg.AssetChecksDefinition:
        """The check as a run executes it."""

        @dg.asset_check(asset=self.key, name=self.name, description=f"{self.description} If not: {self.remedy}")
        def judge(lake: Lake, postgres: Postgres) -> dg.AssetCheckResult:
            outcome = self.judge(Readers(lake, postgres))
            return dg.AssetCheckResult(passed=outcome.passed, severity=self.severity, metadata=outcome.metadata)

        return judge

    def evaluation(self, readers: Readers) -> dg.AssetCheckEvaluation:
        """The check as a sensor reports it, without a run."""
        outcome = self.judge(readers)
        return dg.AssetCheckEvaluation(
            asset_key=self.key,
            check_name=self.name,
            passed=outcome.passed,
            metadata=outcome.metadata,
            severity=self.severity,
        )


def contract_check(table: Table, partitions: dg.PartitionsDefinition[Any] | None = None) -> dg.AssetChecksDefinition:
    """A blocking check: the partitions that a run wrote, or the whole of a table without partitions, keep their
    contract, or nothing downstream runs."""

    @dg.asset_check(
        asset=key_of(table),
        name="contract",
        blocking=True,
        partitions_def=partitions,
        description="Types, nulls, ranges, allowed values and unique key are as the contract says. "
        "If not: the rows are in silver.quarantine; mend their source and materialize the partition again.",
    )
    def contract(context: dg.AssetCheckExecutionContext, lake: Lake, quarantine: Quarantine) -> dg.AssetCheckResult:
        keys = None if partitions is None else list(context.op_execution_context.partition_keys)
        rows = lake.scan(table) if keys is None else lake.scan(table).filter(partition_filter(table, keys))
        frame = rows.collect()
        outcome = _contract_outcome(check_rows(frame, table))
        place = WHOLE if keys is None else _place(keys)
        refused = frame.head(0).with_columns(reason=pl.lit("")) if outcome.passed else contract_breakers(frame, table)
        kept = quarantine.keep(table, place, refused, "contract")
        return dg.AssetCheckResult(passed=outcome.passed, metadata={**outcome.metadata, "quarantined": kept})

    return contract


def _place(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]}..{keys[-1]}"


def recent_rows_check(table: Table) -> StreamCheck:
    """A check that warns: the newest rows of a streamed table keep its contract; a stream cannot be blocked."""

    def judge(readers: Readers) -> Outcome:
        facts = readers.lake.facts(table)
        if facts is None or facts.newest is None:
            return Outcome(passed=True, metadata={"rows_checked": 0})
        since = facts.newest - RECENT
        recent = readers.lake.scan(table).filter(
            (pl.col(table.partition_by[0]) >= since.date()) & (pl.col(str(table.time_column)) >= since)
        )
        return _contract_outcome(check_rows(recent.head(MAX_RECENT_ROWS).collect(), table))

    return StreamCheck(
        key_of(table),
        "contract_of_recent_rows",
        "The newest rows keep the contract: types, nulls, ranges, allowed values, unique key.",
        "the job that writes the table lets a fault through; its transform and its producer are named in the lineage.",
        judge,
        dg.AssetCheckSeverity.WARN,
    )


def _contract_outcome(findings: Findings) -> Outcome:
    metadata: dict[str, Any] = {"rows_checked": findings.row_count, "rules_broken": len(findings.failures)}
    if findings.failures:
        metadata["failures"] = dg.MetadataValue.md(markdown(pl.DataFrame(findings.failures)))
    return Outcome(findings.passed, metadata)


def freshness_check(
    key: dg.AssetKey,
    bound: timedelta,
    newest: Callable[[Readers], datetime | None],
    remedy: str,
    *,
    is_due: Callable[[Readers, datetime], bool] = lambda _readers, _clock: True,
) -> StreamCheck:
    """A check that the newest row is at most `bound` behind the platform clock.

    Args:
        newest: event time of the asset's newest row; None without one.
        is_due: whether, at a platform time, a row is owed at all.
    """

    def judge(readers: Readers) -> Outcome:
        clock = readers.lake.platform_time()
        found = Freshness(newest(readers), clock, bound)
        passed = found.is_fresh or (clock is not None and found.newest is None and not is_due(readers, clock))
        metadata: dict[str, Any] = {"bound_s": bound.total_seconds()}
        if found.age is not None:
            metadata["age_s"] = round(found.age.total_seconds(), 1)
        for name, moment in (("newest", found.newest), ("platform_clock", found.clock)):
            if moment:
                metadata[name] = dg.MetadataValue.timestamp(moment)
        return Outcome(passed, metadata)

    seconds = int(bound.total_seconds())
    return StreamCheck(
        key, "freshness", f"The newest row is at most {seconds} s behind the platform clock.", remedy, judge
    )


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
    worst = max(silent_s.values(), default=0.0)
    return Outcome(worst <= DEAD_AFTER.total_seconds(), {"silent_s": worst, "by_feed": dg.MetadataValue.json(silent_s)})


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
    ),
    StreamCheck(
        key_of(SILVER_GAPS),
        "no_gap_stays_open",
        f"No gap is open for longer than {int(OPEN_GAP_BOUND.total_seconds() / 60)} minutes of the platform clock.",
        "the venue's REST did not give the ids below: the producer's log says why, and its next start fetches what it "
        "still can.",
        _no_gap_stays_open,
        dg.AssetCheckSeverity.WARN,
    ),
    StreamCheck(
        dg.AssetKey(["publish", SERVED_BARS.name]),
        "cache_agrees",
        "Each market's bar in Redis is the one that PostgreSQL has of that minute, and at most 3 minutes behind.",
        "the cache is rebuilt when the publishing job reconnects: restart it, and look at its log for Redis.",
        _cache_agrees,
        dg.AssetCheckSeverity.WARN,
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
    ),
    freshness_check(
        dg.AssetKey(["publish", SERVED_ENRICHED.name]), timedelta(minutes=5), _newest_served, _CHECK_STREAM
    ),
]
"""Every check that stream_checks_sensor judges."""
