"""What the audit compares, and what it finds: plain data. How it compares is audit.py."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Finding:
    """One comparison. `unexplained` is what makes the audit fail.

    `expected` and `found` are counts of `what`; `explained` is the part of their difference that the books explain.
    """

    hop: str
    what: str
    expected: int
    found: int
    unexplained: int = 0
    explained: int = 0
    note: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether every difference is explained."""
        return self.unexplained == 0


def _frame(**schema: pl.DataType | type[pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


_TIME = pl.Datetime("us", "UTC")

LEDGER_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "market": pl.String,
    "first_id": pl.Int64,
    "last_id": pl.Int64,
    "state": pl.String,
    "repaired_count": pl.Int64,
}
"""Of Facts.gap_ledger and Facts.served_gaps."""


@dataclass(frozen=True)
class Facts:
    """What each hop holds. `market` is venue:symbol. None: that hop can not be read or does not exist here.

    Attributes:
        sent: market, first_id, last_id: intervals of trade ids that the source says it handed out.
        unnumbered: market, trades: trades that the source told without ids, by a protocol that has none.
        kafka: topic, partition, low, high: watermarks, high exclusive.
        bronze_offsets: topic, partition, rows, distinct, newest: records in bronze within the watermarks, and the
            newest of their offsets.
        trades: market, trade_id, event_time: bronze.trades, a row per record.
        bars_1m, bars_5m: market, window_start, trade_count, close: as streamed.
        price_means: market, window_start, trade_count: sliding means as streamed.
        late: market, window_start, trade_count.
        silver_trades: market, trade_id, event_hour.
        repaired_bars: market, window_start, trade_count, close: minutes that streamed in part and that a repair made
            whole, served so until their hour is made.
        gold_bars: market, window_start, trade_count, close, event_hour. gold_enriched: the same without close.
        served_bars: market, window_start, trade_count, close. served_enriched: ... trade_count, is_final.
        cached: market, window_start of the newest closed bar in Redis.
        gaps: market, first_id, last_id, state: what was listed as missing (open), as missing for good (unrecoverable),
            and what was reported as repaired.
        gap_ledger, served_gaps: market, first_id, last_id, state, repaired_count: the ledger of gaps as it follows from
            the lake, and as PostgreSQL has it.
        rejected: stage, reason, records.
        injected: faulty frames that the simulator was asked to send.
        is_stopped: nothing runs. What Kafka holds behind bronze's newest offset, and what the lake holds behind
            PostgreSQL's newest window, is then read at the next start: it waits, it is not lost.
        before: an earlier reading of a platform that runs. Only what already stood in a hop then is owed to the next
            hop now; what came or changed since is on its way. None: everything is owed.
    """

    kafka: pl.DataFrame
    bronze_offsets: pl.DataFrame
    trades: pl.DataFrame
    bars_1m: pl.DataFrame
    bars_5m: pl.DataFrame
    sent: pl.DataFrame | None = None
    unnumbered: pl.DataFrame | None = None
    served_bars: pl.DataFrame | None = None
    served_enriched: pl.DataFrame | None = None
    cached: pl.DataFrame | None = None
    served_gaps: pl.DataFrame | None = None
    injected: int | None = None
    is_stopped: bool = False
    before: Facts | None = None
    price_means: pl.DataFrame = field(
        default_factory=lambda: _frame(market=pl.String, window_start=_TIME, trade_count=pl.Int64)
    )
    late: pl.DataFrame = field(
        default_factory=lambda: _frame(market=pl.String, window_start=_TIME, trade_count=pl.Int64)
    )
    silver_trades: pl.DataFrame = field(
        default_factory=lambda: _frame(market=pl.String, trade_id=pl.Int64, event_hour=pl.String)
    )
    repaired_bars: pl.DataFrame = field(
        default_factory=lambda: _frame(market=pl.String, window_start=_TIME, trade_count=pl.Int64, close=pl.Float64)
    )
    gold_bars: pl.DataFrame = field(
        default_factory=lambda: _frame(
            market=pl.String, window_start=_TIME, trade_count=pl.Int64, close=pl.Float64, event_hour=pl.String
        )
    )
    gold_enriched: pl.DataFrame = field(
        default_factory=lambda: _frame(market=pl.String, window_start=_TIME, trade_count=pl.Int64, event_hour=pl.String)
    )
    gaps: pl.DataFrame = field(
        default_factory=lambda: _frame(market=pl.String, first_id=pl.Int64, last_id=pl.Int64, state=pl.String)
    )
    gap_ledger: pl.DataFrame = field(default_factory=lambda: _frame(**LEDGER_SCHEMA))
    rejected: pl.DataFrame = field(default_factory=lambda: _frame(stage=pl.String, reason=pl.String, records=pl.Int64))


def markets_of(frame: pl.DataFrame) -> list[str]:
    """The frame's markets, sorted."""
    return sorted(frame["market"].unique().to_list())


def counted(parts: dict[str, int]) -> str:
    """What there is of each part, as a note: "2 missing, 1 doubled"."""
    return ", ".join(f"{count} {name}" for name, count in parts.items() if count)
