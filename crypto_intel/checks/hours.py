"""Checks of an hour's tables that a contract alone can not state; each run of the hour executes them.

What belongs here: what each check reads, says and asks for. What does not: the judgement (core/judge_hour.py) and
where checks stand in the graph (defs/quality).
"""

# No postponed annotations here: Dagster reads the types of a check's context and resources.
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg
import polars as pl

from crypto_intel.checks.factories import Outcome
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import GOLD_BARS_1H, GOLD_BARS_5M, GOLD_CROSS_VENUE
from crypto_intel.contracts.tables import GOLD_BARS_1M, SILVER_GAPS, SILVER_TRADES
from crypto_intel.core.errors import CryptoIntelError
from crypto_intel.core.hours import hour_start
from crypto_intel.core.judge_hour import backward_trades, disagreeing_markets, inconsistent_bars, unlisted_holes
from crypto_intel.graph.reports import markdown
from crypto_intel.graph.specs import HOURLY, key_of
from crypto_intel.operations.batch import trades_before
from crypto_intel.resources.klines import Klines, differing_bars
from crypto_intel.resources.lake import Lake

MAX_SHOWN = 50
Judge = Callable[[Lake, str], Outcome]


@dataclass(frozen=True)
class HourCheck:
    """A check of one hour of a table. `remedy` says what to do when it fails; `also` names what else it reads."""

    table: Table
    name: str
    description: str
    remedy: str
    judge: Judge
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    blocking: bool = False
    also: tuple[Table, ...] = ()

    def definition(self) -> dg.AssetChecksDefinition:
        """The check as a run executes it."""

        @dg.asset_check(
            asset=key_of(self.table),
            name=self.name,
            blocking=self.blocking,
            partitions_def=HOURLY,
            additional_deps=[key_of(table) for table in self.also],
            description=f"{self.description} If not: {self.remedy}",
        )
        def judge(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
            outcome = self.judge(lake, context.op_execution_context.partition_key)
            return dg.AssetCheckResult(passed=outcome.passed, severity=self.severity, metadata=outcome.metadata)

        return judge


def outcome_of(wrong: pl.DataFrame, judged: int) -> Outcome:
    """A verdict from the rows that are wrong; they are shown."""
    metadata = {"judged": judged, "wrong": wrong.height}
    if wrong.is_empty():
        return Outcome(passed=True, metadata=metadata)
    return Outcome(passed=False, metadata={**metadata, "rows": dg.MetadataValue.md(markdown(wrong.head(MAX_SHOWN)))})


def _of_hour(lake: Lake, table: Table, key: str) -> pl.DataFrame:
    return lake.scan(table).filter(pl.col("event_hour") == key).collect()


def _ids_contiguous(lake: Lake, key: str) -> Outcome:
    trades = _of_hour(lake, SILVER_TRADES, key)
    before = trades_before(lake, hour_start(key))
    ledger = lake.scan(SILVER_GAPS).collect()
    return outcome_of(unlisted_holes(trades, before, ledger), trades.height)


def _time_order(lake: Lake, key: str) -> Outcome:
    trades = _of_hour(lake, SILVER_TRADES, key)
    return outcome_of(backward_trades(trades), trades.height)


def _consistent(table: Table) -> Judge:
    def judge(lake: Lake, key: str) -> Outcome:
        bars = _of_hour(lake, table, key)
        return outcome_of(inconsistent_bars(bars), bars.height)

    return judge


def _venues_agree(lake: Lake, key: str) -> Outcome:
    prices = _of_hour(lake, GOLD_CROSS_VENUE, key)
    return outcome_of(disagreeing_markets(prices), prices.height)


def _bars_are_the_venues(lake: Lake, key: str) -> Outcome:
    bars = _of_hour(lake, GOLD_BARS_1M, key).filter(
        pl.col("venue") == "binance", pl.col("completeness").is_in(["complete", "repaired", "quiet"])
    )
    try:
        wrong = differing_bars(Klines(), bars, hour_start(key))
    except CryptoIntelError as error:  # the venue is away, or has no such hour: nothing to compare with
        return Outcome(passed=True, metadata={"judged": 0, "not_asked": str(error)[:200]})
    return outcome_of(wrong, bars.height)


HOUR_CHECKS = [
    HourCheck(
        SILVER_TRADES,
        "ids_contiguous",
        "Every trade id from the last one before the hour to its last is here or in the ledger of gaps.",
        "the ids below were lost without a word: look whether ingest rejected them (bronze.rejected), fetch them by "
        "REST, and materialize the hour again.",
        _ids_contiguous,
        also=(SILVER_GAPS,),
    ),
    HourCheck(
        SILVER_TRADES,
        "time_order",
        "By id, times never go back by more than a second.",
        "a producer mixed up two markets, or the venue's clocks are apart; compare with the raw records in bronze.",
        _time_order,
        dg.AssetCheckSeverity.WARN,
    ),
    *(
        HourCheck(
            table,
            "consistent",
            "Prices lie within low and high, ids and volumes agree with each other.",
            "the fold or its merge is at fault: stop, and compare with the trades of the windows below.",
            _consistent(table),
            blocking=True,
        )
        for table in (GOLD_BARS_1M, GOLD_BARS_5M, GOLD_BARS_1H)
    ),
    HourCheck(
        GOLD_BARS_1M,
        "equals_venue_klines",
        "Complete bars say what Binance's own klines say; nothing is judged where it can not be asked.",
        "the venue counts other trades than we have: look for ids in the ledger, then fetch the minutes by REST.",
        _bars_are_the_venues,
        dg.AssetCheckSeverity.WARN,
    ),
    HourCheck(
        GOLD_CROSS_VENUE,
        "venues_agree",
        "Markets of one asset stand within 1 % of their middle, in dollars.",
        "one market alone off the others is bad data of that venue: a data incident, not the market's news; with two "
        "markets look at both.",
        _venues_agree,
        dg.AssetCheckSeverity.WARN,
    ),
]
"""Every check of an hour beside contracts and stream = batch."""
