"""Compares a lake with what was acknowledged and with the oracle: lost, doubled, wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from crypto_intel.contracts import tables
from crypto_intel.contracts.columns import Table
from crypto_intel_tests.chaos.load import MINUTE_US, Load
from streaming.transforms.frames import schema_of

BRONZE = ("bronze.trades", "bronze.quotes", "bronze.news", "bronze.rejected", "bronze.feed_status")
MARKET = ["venue", "symbol", "window_start"]
EXACT = ("open", "high", "low", "close", "trade_count", "first_trade_id", "last_trade_id")
SUMS = ("volume_base", "volume_quote", "buy_volume_base")


@dataclass
class Verdict:
    """What is wrong with a lake; all zero is right."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    what: str = ""

    @property
    def is_right(self) -> bool:
        """Nothing is wrong."""
        return not (self.lost or self.doubled or self.wrong)

    def join(self, other: Verdict) -> None:
        """Count what another found, too."""
        self.lost, self.doubled = self.lost + other.lost, self.doubled + other.doubled
        self.wrong, self.what = self.wrong + other.wrong, self.what + other.what

    def add(self, what: str, *, lost: int = 0, doubled: int = 0, wrong: int = 0) -> None:
        """Count what was found."""
        self.lost, self.doubled, self.wrong = self.lost + lost, self.doubled + doubled, self.wrong + wrong
        if lost or doubled or wrong:
            self.what += f"{what}: lost {lost}, doubled {doubled}, wrong {wrong}; "


def read(lake: Path, name: str) -> pl.DataFrame:
    """A table of the lake; empty where there is none yet."""
    table: Table = tables.TABLES[name]
    path = table.path(str(lake))
    if not DeltaTable.is_deltatable(path):
        return pl.DataFrame(schema=schema_of(table))
    return pl.scan_delta(path).collect()


def bronze_count(lake: Path) -> int:
    """Rows of all bronze tables, by their logs alone."""
    return sum(_rows_of_log(tables.TABLES[name].path(str(lake))) for name in BRONZE)


def _rows_of_log(path: str) -> int:
    if not DeltaTable.is_deltatable(path):
        return 0
    files = pl.DataFrame(DeltaTable(path).get_add_actions(flatten=True))
    return int(files["num_records"].sum()) if files.height else 0


def bar_count(lake: Path) -> int:
    """Rows of silver.bars_1m that have trades."""
    return int((read(lake, "silver.bars_1m")["trade_count"] > 0).sum())


def pair_count(lake: Path) -> int:
    """Rows of silver.bar_news."""
    return read(lake, "silver.bar_news").height


def judge(lake: Path, acked: dict[tuple[str, int, int], bytes], load: Load, *, with_pairs: bool = True) -> Verdict:
    """Hold the whole lake to the ledger and the oracle."""
    verdict = Verdict()
    _judge_bronze(lake, acked, verdict)
    _judge_trades(lake, load, verdict)
    for name, window_us in (("silver.bars_1m", MINUTE_US), ("silver.bars_5m", 5 * MINUTE_US)):
        judge_bars(read(lake, name), load.bars(window_us), name, verdict)
    means = read(lake, "silver.price_means_5m")
    verdict.add("silver.price_means_5m", doubled=means.height - means.select(MARKET).n_unique())
    if with_pairs:
        _judge_pairs(lake, load, verdict)
    return verdict


def _judge_bronze(lake: Path, acked: dict[tuple[str, int, int], bytes], verdict: Verdict) -> None:
    where = ["kafka_topic", "kafka_partition", "kafka_offset"]
    rows = Counter(row for name in BRONZE for row in read(lake, name).select(where).iter_rows())
    lost = sum(1 for place in acked if place not in rows)
    doubled = sum(count - 1 for count in rows.values())
    verdict.add("bronze", lost=lost, doubled=doubled, wrong=sum(1 for place in rows if place not in acked))


def _judge_trades(lake: Path, load: Load, verdict: Verdict) -> None:
    has = read(lake, "bronze.trades").select(
        "venue", "symbol", "trade_id", pl.col("price").cast(pl.Float64), pl.col("event_time").dt.epoch("us")
    )
    wanted = load.frame().select("venue", "symbol", "trade_id", "price", "event_time")
    verdict.add("trades", lost=wanted.join(has, on=wanted.columns, how="anti").height)


def judge_bars(has: pl.DataFrame, wanted: pl.DataFrame, name: str, verdict: Verdict) -> None:
    """Hold bars to the expected ones; windows without trades are no matter of the load."""
    if has.is_empty():
        verdict.add(name, lost=wanted.height)
        return
    bars = has.filter(pl.col("trade_count") > 0).with_columns(pl.col("window_start").dt.epoch("us"))
    both = wanted.join(bars, on=MARKET, suffix="_has")
    is_wrong = pl.any_horizontal(
        *(pl.col(name).ne_missing(pl.col(f"{name}_has")) for name in EXACT),
        *((pl.col(name) - pl.col(f"{name}_has")).abs() > 1e-9 * (1 + pl.col(name).abs()) for name in SUMS),
    )
    verdict.add(
        name,
        lost=wanted.join(bars, on=MARKET, how="anti").height,
        doubled=has.height - has.select(MARKET).n_unique(),
        wrong=both.filter(is_wrong).height + bars.join(wanted, on=MARKET, how="anti").height,
    )


def _judge_pairs(lake: Path, load: Load, verdict: Verdict) -> None:
    key = [*MARKET, "article_id"]
    rows = read(lake, "silver.bar_news").with_columns(pl.col("window_start").dt.epoch("us")).select(key).rows()
    wanted = load.pairs()
    verdict.add(
        "bar_news",
        lost=len(wanted - set(rows)),
        doubled=len(rows) - len(set(rows)),
        wrong=len(set(rows) - wanted),
    )
