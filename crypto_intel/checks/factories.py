"""Checks as Dagster knows them: factories from the contracts. Each check says its severity and what to do.

What belongs here: wiring of core's judgements to assets. What does not: which streams are judged by what (streams.py),
the judgements (core/checks.py, compare.py, freshness.py), and where they stand in the graph (defs/quality).
"""

# No postponed annotations here: Dagster reads the types of a check's context and resources.
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.core.checks import Findings, check_rows
from crypto_intel.core.freshness import Freshness
from crypto_intel.core.quarantine import WHOLE, contract_breakers
from crypto_intel.graph.reports import markdown
from crypto_intel.graph.specs import key_of
from crypto_intel.resources.delta_io import partition_filter
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.quarantine import Quarantine

RECENT = timedelta(minutes=2)
"""Stretch before a streamed table's newest row that its contract check reads: a sensor judges it every minute."""

MAX_RECENT_ROWS = 50_000
"""Bound of what such a check reads, however busy the market."""


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

    `remedy` says what to do when it fails. `patience`: for how long a platform that begins anew may fail it.
    """

    key: dg.AssetKey
    name: str
    description: str
    remedy: str
    judge: Callable[[Readers], Outcome]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    patience: timedelta = timedelta(0)

    def definition(self) -> dg.AssetChecksDefinition:
        """The check as a run executes it."""

        @dg.asset_check(asset=self.key, name=self.name, description=f"{self.description} If not: {self.remedy}")
        def judge(lake: Lake, postgres: Postgres) -> dg.AssetCheckResult:
            outcome = self.judge(Readers(lake, postgres))
            return dg.AssetCheckResult(passed=outcome.passed, severity=self.severity, metadata=outcome.metadata)

        return judge

    def evaluation(self, readers: Readers, watched: timedelta) -> dg.AssetCheckEvaluation | None:
        """The check as a sensor reports it, without a run; None: it fails, and has not been watched for long enough.

        Args:
            watched: for how long, without a break.
        """
        outcome = self.judge(readers)
        if not outcome.passed and watched < self.patience:
            return None
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
    patience: timedelta | None = None,
) -> StreamCheck:
    """A check that the newest row is at most `bound` behind the platform clock.

    Args:
        newest: event time of the asset's newest row; None without one.
        is_due: whether, at a platform time, a row is owed at all.
        patience: of a platform that begins anew, by the wall clock; default: the bound.
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
    text = f"The newest row is at most {seconds} s behind the platform clock."
    return StreamCheck(key, "freshness", text, remedy, judge, patience=bound if patience is None else patience)
