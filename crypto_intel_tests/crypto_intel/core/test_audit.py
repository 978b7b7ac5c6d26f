"""The audit finds a loss, a repeat and a wrong sum planted in any hop, and excuses only what the books list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from crypto_intel.core.audit import audit
from crypto_intel.core.audit_facts import Facts, Finding

MARKET = "binance:BTC-USDT"
OLD = "kraken:XBT-USD"
"""A market whose trades have no ids."""
START = datetime(2025, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


def healthy() -> Facts:
    """Ten minutes with two trades each, the last one still open, everything where it belongs."""
    trades = pl.DataFrame(
        [
            (MARKET, 2 * minute + part // 30 + 1, START + timedelta(minutes=minute, seconds=part))
            for minute in range(10)
            for part in (0, 30)
        ],
        schema={"market": pl.String, "trade_id": pl.Int64, "event_time": TIME},
        orient="row",
    )
    bars = pl.DataFrame(
        [(MARKET, START + timedelta(minutes=minute), 2, 100.0 + minute) for minute in range(9)],
        schema={"market": pl.String, "window_start": TIME, "trade_count": pl.Int64, "close": pl.Float64},
        orient="row",
    )
    hour = pl.lit("2025-01-01-00").alias("event_hour")
    whole = pl.concat([bars, bars.tail(1).with_columns(pl.col("window_start") + timedelta(minutes=1))])
    return Facts(
        sent=pl.DataFrame({"market": [MARKET], "first_id": [1], "last_id": [20]}),
        kafka=pl.DataFrame({"topic": ["trades_topic"], "partition": [0], "low": [0], "high": [20]}),
        bronze_offsets=pl.DataFrame(
            {"topic": ["trades_topic"], "partition": [0], "rows": [20], "distinct": [20], "newest": [19]}
        ),
        trades=trades,
        bars_1m=bars,
        bars_5m=bars.head(1).with_columns(trade_count=pl.lit(10, pl.Int64)),
        silver_trades=trades.select("market", "trade_id", hour),
        gold_bars=whole.select("market", "window_start", "trade_count", "close", hour),
        gold_enriched=whole.select("market", "window_start", "trade_count", hour),
        served_bars=whole,
        served_enriched=whole.select("market", "window_start", "trade_count", is_final=pl.lit(True)),
        cached=whole.tail(1).select("market", "window_start"),
        **with_a_gap(),
    )


def with_a_gap() -> dict[str, pl.DataFrame]:
    """An old gap of another market, as the ledger and PostgreSQL have it."""
    row = {"market": ["kraken:ETH-USD"], "first_id": [5], "last_id": [9], "state": ["open"], "repaired_count": [2]}
    return {"gap_ledger": pl.DataFrame(row), "served_gaps": pl.DataFrame(row)}


def faults(facts: Facts) -> list[str]:
    """Hops with an unexplained difference."""
    return [finding.hop for finding in audit(facts) if not finding.is_ok]


def found(facts: Facts, hop: str) -> Finding:
    """The first finding of a hop."""
    return next(finding for finding in audit(facts) if finding.hop == hop)


def test_a_healthy_platform_has_no_unexplained_difference_and_names_what_is_open() -> None:
    assert faults(healthy()) == []
    bars = found(healthy(), "bronze -> bars_1m")
    assert (bars.expected, bars.found, bars.explained, bars.note) == (20, 18, 2, "2 in open windows")


def lose(frame: pl.DataFrame | None, at: int = 3) -> pl.DataFrame:
    """The frame without one row."""
    assert frame is not None
    return pl.concat([frame[:at], frame[at + 1 :]])


def repeat(frame: pl.DataFrame | None, at: int = 3) -> pl.DataFrame:
    """The frame with one row twice."""
    assert frame is not None
    return pl.concat([frame, frame[at : at + 1]])


def miscount(frame: pl.DataFrame | None, at: int = 3) -> pl.DataFrame:
    """The frame with one more trade counted in one row."""
    assert frame is not None
    is_at = pl.int_range(pl.len()) == at
    return frame.with_columns(trade_count=pl.when(is_at).then(pl.col("trade_count") + 1).otherwise("trade_count"))


PLANTED: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "a trade that bronze lost": (lambda f: replace(f, trades=lose(f.trades)), "source -> bronze"),
    "a trade that the source never sent": (
        lambda f: replace(f, sent=pl.DataFrame({"market": [MARKET], "first_id": [1], "last_id": [19]})),
        "source -> bronze",
    ),
    "a Kafka record that bronze lost": (
        lambda f: replace(f, bronze_offsets=f.bronze_offsets.with_columns(rows=19, distinct=19)),
        "Kafka -> bronze",
    ),
    "a Kafka record that bronze doubled": (
        lambda f: replace(f, bronze_offsets=f.bronze_offsets.with_columns(rows=21)),
        "Kafka -> bronze",
    ),
    "a hole in the ids": (lambda f: replace(f, sent=None, trades=lose(f.trades)), "bronze: ids"),
    "a bar that was not written": (lambda f: replace(f, bars_1m=lose(f.bars_1m)), "bronze -> bars_1m"),
    "a bar that was written twice": (lambda f: replace(f, bars_1m=repeat(f.bars_1m)), "bronze -> bars_1m"),
    "a bar with a wrong count": (lambda f: replace(f, bars_1m=miscount(f.bars_1m)), "bronze -> bars_1m"),
    "a 5-minute bar with a wrong count": (
        lambda f: replace(f, bars_5m=miscount(f.bars_5m, 0)),
        "bars_1m -> bars_5m",
    ),
    "a 5-minute bar twice": (lambda f: replace(f, bars_5m=repeat(f.bars_5m, 0)), "bars_1m -> bars_5m"),
    "a bar missing in PostgreSQL": (
        lambda f: replace(f, served_bars=lose(f.served_bars)),
        "bars -> PostgreSQL",
    ),
    "a bar in PostgreSQL that the lake does not have": (
        lambda f: replace(f, gold_bars=f.gold_bars.head(0), bars_1m=f.bars_1m.head(8)),
        "bars -> PostgreSQL",
    ),
    "a wrong count in PostgreSQL": (
        lambda f: replace(f, served_bars=miscount(f.served_bars)),
        "bars -> PostgreSQL",
    ),
    "a trade that silver lost": (
        lambda f: replace(f, silver_trades=lose(f.silver_trades)),
        "bronze -> silver.trades",
    ),
    "a trade that silver has twice": (
        lambda f: replace(f, silver_trades=repeat(f.silver_trades)),
        "bronze -> silver.trades",
    ),
    "a wrong count in gold": (
        lambda f: replace(f, gold_bars=miscount(f.gold_bars)),
        "silver.trades -> gold.bars_1m",
    ),
    "a gold bar twice": (lambda f: replace(f, gold_bars=repeat(f.gold_bars)), "silver.trades -> gold.bars_1m"),
    "an enriched row missing in gold": (
        lambda f: replace(f, gold_enriched=lose(f.gold_enriched)),
        "gold.bars_1m -> market_enriched",
    ),
    "a final row missing in PostgreSQL": (
        lambda f: replace(f, served_enriched=lose(f.served_enriched)),
        "market_enriched -> PostgreSQL",
    ),
    "a final row with a wrong count in PostgreSQL": (
        lambda f: replace(f, served_enriched=miscount(f.served_enriched)),
        "market_enriched -> PostgreSQL",
    ),
    "an old bar in Redis": (
        lambda f: replace(f, cached=f.bars_1m.head(1).select("market", "window_start")),
        "PostgreSQL -> Redis",
    ),
    "a reject without a reason": (
        lambda f: replace(f, rejected=pl.DataFrame({"stage": ["ingest"], "reason": [""], "records": [1]})),
        "rejected",
    ),
    "a trade without an id that bronze lost": (
        lambda f: replace(f, unnumbered=pl.DataFrame({"market": [OLD], "trades": [3]})),
        "source -> bronze",
    ),
    "a trade without an id more than the source told": (
        lambda f: replace(f, unnumbered=pl.DataFrame({"market": [OLD], "trades": [1]})),
        "source -> bronze",
    ),
    "a gap missing in PostgreSQL": (lambda f: replace(f, served_gaps=lose(f.served_gaps, 0)), "gaps -> PostgreSQL"),
    "a gap in PostgreSQL that the lake does not have": (
        lambda f: replace(f, gap_ledger=lose(f.gap_ledger, 0)),
        "gaps -> PostgreSQL",
    ),
    "a gap that PostgreSQL says is repaired": (
        lambda f: replace(f, served_gaps=f.gap_ledger.with_columns(state=pl.lit("repaired"))),
        "gaps -> PostgreSQL",
    ),
    "an injected fault that was not rejected": (lambda f: replace(f, injected=3), "rejected"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_in_its_hop(fault: str) -> None:
    plant, hop = PLANTED[fault]
    assert hop in faults(plant(healthy()))


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_on_a_platform_that_runs(fault: str) -> None:
    plant, hop = PLANTED[fault]
    planted = plant(healthy())
    assert hop in faults(replace(planted, before=planted))


def test_what_came_between_two_readings_is_on_its_way_and_what_stood_before_is_owed() -> None:
    now = healthy()
    earlier = replace(
        now,
        sent=pl.DataFrame({"market": [MARKET], "first_id": [1], "last_id": [18]}),
        trades=now.trades.head(18),
        bars_1m=now.bars_1m.head(7),
        silver_trades=now.silver_trades.head(18),
        gold_bars=now.gold_bars.head(8),
        gold_enriched=now.gold_enriched.head(8),
        served_bars=now.served_bars.head(8) if now.served_bars is not None else None,
    )
    trailing = replace(
        now,
        trades=now.trades.head(18),
        silver_trades=now.silver_trades.head(18),
        gold_bars=now.gold_bars.head(9),
        gold_enriched=now.gold_enriched.head(8),
        served_bars=now.served_bars.head(8) if now.served_bars is not None else None,
        served_enriched=now.served_enriched.head(8) if now.served_enriched is not None else None,
        cached=now.served_bars[7:8].select("market", "window_start") if now.served_bars is not None else None,
    )
    assert faults(trailing) == [
        "source -> bronze",
        "bars -> PostgreSQL",
        "bars_1m -> market_enriched",
        "gold.bars_1m -> market_enriched",
    ]
    assert faults(replace(trailing, before=earlier)) == []
    owed = ["source -> bronze", "bars -> PostgreSQL", "gold.bars_1m -> market_enriched", "PostgreSQL -> Redis"]
    assert faults(replace(trailing, before=now)) == owed


def _without_trade_4(facts: Facts) -> Facts:
    # Missing everywhere behind the source: the bar knows one trade less.
    is_it = pl.col("trade_id") == 4
    fewer = pl.col("trade_count") - (pl.col("window_start") == START + timedelta(minutes=1)).cast(pl.Int64)
    bars = {
        name: getattr(facts, name).with_columns(trade_count=fewer)
        for name in ("bars_1m", "served_bars", "gold_bars", "gold_enriched", "served_enriched")
    }
    return replace(
        facts,
        trades=facts.trades.filter(~is_it),
        silver_trades=facts.silver_trades.filter(~is_it),
        bars_5m=facts.bars_5m.with_columns(trade_count=pl.lit(9, pl.Int64)),
        **bars,
    )


def _means(facts: Facts) -> pl.DataFrame:
    rows = facts.bars_1m.sort("window_start")
    counts = rows["trade_count"].to_list()
    sums = [sum(counts[max(0, at - 4) : at + 1]) for at in range(len(counts))]
    return rows.select("market", pl.col("window_start") - timedelta(minutes=4), pl.Series("trade_count", sums))


def test_each_minute_has_the_mean_of_the_window_that_ends_with_it() -> None:
    facts = healthy()
    means = _means(facts)
    assert faults(replace(facts, price_means=means)) == []
    assert faults(replace(facts, price_means=means.head(-1))) == []  # written behind its minute
    for wrong in (means.gather([0, *range(2, means.height)]), pl.concat([means, means.head(1)]), miscount(means)):
        assert faults(replace(facts, price_means=wrong)) == ["bars_1m -> price_means_5m"]


def _gap(first: int, last: int, state: str) -> pl.DataFrame:
    return pl.DataFrame({"market": [MARKET], "first_id": [first], "last_id": [last], "state": [state]})


def test_a_missing_trade_is_excused_only_while_it_is_listed_as_a_gap() -> None:
    lost = _without_trade_4(healthy())
    assert faults(lost) == ["source -> bronze", "bronze: ids"]
    listed = replace(lost, gaps=_gap(4, 4, "open"))
    assert faults(listed) == []
    assert found(listed, "source -> bronze").explained == 1
    gone = replace(lost, gaps=pl.concat([_gap(3, 5, "open"), _gap(4, 4, "unrecoverable")]))
    assert faults(gone) == []
    assert found(gone, "source -> bronze").note == "1 listed as gaps, 1 of these unrecoverable"
    claimed = replace(lost, gaps=pl.concat([_gap(3, 5, "open"), _gap(4, 4, "repaired")]))
    assert faults(claimed) == ["source -> bronze", "bronze: ids"]


def test_trades_without_ids_are_counted_apart_and_leave_no_hole() -> None:
    facts = healthy()
    old = facts.trades.head(2).with_columns(market=pl.lit(OLD), trade_id=-pl.col("trade_id"))
    minute = facts.bars_1m.head(1).with_columns(market=pl.lit(OLD))
    with_old = replace(
        facts,
        trades=pl.concat([facts.trades, old]),
        bars_1m=pl.concat([facts.bars_1m, minute]),
        served_bars=None,
        served_enriched=None,
        silver_trades=facts.silver_trades.head(0),
        gold_bars=facts.gold_bars.head(0),
        gold_enriched=facts.gold_enriched.head(0),
        unnumbered=pl.DataFrame({"market": [OLD], "trades": [2]}),
    )
    assert faults(with_old) == []
    assert faults(replace(with_old, unnumbered=pl.DataFrame({"market": [OLD], "trades": [3]}))) == ["source -> bronze"]


def test_a_gap_that_changed_between_two_readings_may_be_served_as_it_was() -> None:
    facts = healthy()
    repaired = facts.gap_ledger.with_columns(state=pl.lit("repaired"), repaired_count=pl.lit(5, pl.Int64))
    assert faults(replace(facts, gap_ledger=repaired)) == ["gaps -> PostgreSQL"]
    assert faults(replace(facts, gap_ledger=repaired, before=facts)) == []
    assert faults(replace(facts, gap_ledger=repaired, is_stopped=True)) == []


def test_late_arrivals_explain_a_bar_that_has_fewer() -> None:
    facts = healthy()
    bars = facts.bars_1m.with_columns(
        trade_count=pl.when(pl.col("window_start") == START).then(pl.lit(1, pl.Int64)).otherwise("trade_count")
    )
    late = pl.DataFrame(
        {"market": [MARKET], "window_start": [START], "trade_count": [1]},
        schema={"market": pl.String, "window_start": TIME, "trade_count": pl.Int64},
    )
    fives = facts.bars_5m.with_columns(trade_count=pl.lit(9, pl.Int64))
    behind = replace(facts, bars_1m=bars, bars_5m=fives)
    assert "bronze -> bars_1m" in faults(behind)
    assert faults(replace(behind, late=late)) == []


def _with_a_repaired_minute() -> Facts:
    # The second minute streamed one of its two trades; the other came by a repair, and the hour is not made yet.
    facts = healthy()
    minute = facts.bars_1m[1:2]
    partial = minute.with_columns(trade_count=pl.lit(1, pl.Int64))
    return replace(
        facts,
        bars_1m=pl.concat([facts.bars_1m.head(1), partial, facts.bars_1m[2:]]),
        bars_5m=facts.bars_5m.with_columns(trade_count=pl.lit(9, pl.Int64)),
        late=minute.select("market", "window_start", trade_count=pl.lit(1, pl.Int64)),
        repaired_bars=minute,
        gold_bars=facts.gold_bars.head(0),
        gold_enriched=facts.gold_enriched.head(0),
        silver_trades=facts.silver_trades.head(0),
        served_bars=facts.bars_1m,
        served_enriched=facts.bars_1m.select("market", "window_start", "trade_count", is_final=pl.lit(False)),
        cached=facts.bars_1m.tail(1).select("market", "window_start"),
    )


def test_a_repaired_minute_is_served_as_the_repair_made_it_until_its_hour_is_made() -> None:
    facts = _with_a_repaired_minute()
    assert faults(facts) == []
    served = ["bars -> PostgreSQL", "bars_1m -> market_enriched"]
    assert (
        faults(replace(facts, served_bars=facts.bars_1m, served_enriched=miscount(facts.served_enriched, 1))) == served
    )
    assert faults(replace(facts, repaired_bars=facts.repaired_bars.head(0))) == served


def test_a_repaired_minute_has_no_trade_that_bronze_lacks_and_may_wait_for_one_that_came_since() -> None:
    facts = _with_a_repaired_minute()
    for wrong in (miscount(facts.repaired_bars, 0), repeat(facts.repaired_bars, 0)):
        assert "bronze -> repaired_bars_1m" in faults(replace(facts, repaired_bars=wrong))
    since = replace(facts, repaired_bars=facts.bars_1m[1:2], served_bars=facts.bars_1m)
    assert found(since, "bronze -> repaired_bars_1m").note == "1 came behind the repair"
    assert "bronze -> repaired_bars_1m" not in faults(since)


def test_a_platform_without_a_cache_or_a_ledger_can_be_audited() -> None:
    assert faults(replace(healthy(), sent=None, cached=None)) == []


def test_what_waits_on_a_stopped_platform_is_no_loss_but_a_loss_on_one_that_runs() -> None:
    facts = healthy()
    offsets = facts.bronze_offsets.with_columns(rows=18, distinct=18, newest=17)
    behind = replace(
        facts,
        bronze_offsets=offsets,
        trades=facts.trades.head(18),
        gold_bars=facts.gold_bars.head(0),
        gold_enriched=facts.gold_enriched.head(0),
        silver_trades=facts.silver_trades.head(0),
        served_bars=facts.bars_1m.head(8),
        served_enriched=facts.bars_1m.head(8).select("market", "window_start", "trade_count", is_final=pl.lit(False)),
        cached=facts.bars_1m[7:8].select("market", "window_start"),
    )
    hops = ["source -> bronze", "Kafka -> bronze", "bars -> PostgreSQL", "bars_1m -> market_enriched"]
    assert faults(behind) == hops
    stopped = replace(behind, is_stopped=True)
    assert faults(stopped) == []
    assert found(stopped, "Kafka -> bronze").note == "2 wait in Kafka"
    assert found(stopped, "bars -> PostgreSQL").note == "1 wait to be published"
    holes = replace(stopped, bronze_offsets=offsets.with_columns(rows=17, distinct=17))
    assert "Kafka -> bronze" in faults(holes)
    assert "bars -> PostgreSQL" in faults(replace(stopped, served_bars=lose(stopped.served_bars)))
