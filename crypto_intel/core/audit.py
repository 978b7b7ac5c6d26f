"""The audit behind `crypto-intel verify`: every hop compared with the one before it, every difference explained.

Pure: frames in, findings out. Reading the hops is crypto_intel/stack/verify.py. A difference counts as explained only
by something that stands in the platform's own books: a window still open, a late trade, a reject, a gap. On a platform
that runs, what a hop holds now is owed to the next one only if it stood there before as well (`Facts.before`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from crypto_intel.core.audit_facts import Facts, Finding, counted, markets_of
from crypto_intel.core.audit_source import audit_source, waiting_records

_MINUTE = "1m"
_FIVE = "5m"


def audit(facts: Facts) -> list[Finding]:
    """Compare every hop with the one before it, in the order of the flow."""
    return [
        *audit_source(facts),
        *_bronze_to_bars(facts),
        *_bronze_to_repaired(facts),
        *_minutes_to_fives(facts),
        *_minutes_to_means(facts),
        *_bars_to_served(facts),
        *_bronze_to_silver(facts),
        *_silver_to_gold(facts),
        *_gold_to_served(facts),
        *_served_to_cache(facts),
        *_gaps_to_served(facts),
        *_rejects(facts),
    ]


def _per_minute(facts: Facts) -> pl.DataFrame:
    distinct = facts.trades.unique(["market", "trade_id"])
    window = pl.col("event_time").dt.truncate(_MINUTE).alias("window_start")
    return distinct.group_by("market", window).agg(pl.len().cast(pl.Int64).alias("in_bronze"))


def _bronze_to_bars(facts: Facts) -> Iterator[Finding]:
    closed_to = facts.bars_1m.group_by("market").agg(pl.col("window_start").max().alias("last_bar"))
    bars = facts.bars_1m.group_by("market", "window_start").agg(
        pl.col("trade_count").sum().alias("in_bars"), pl.len().alias("copies")
    )
    late = facts.late.group_by("market", "window_start").agg(pl.col("trade_count").sum().alias("late"))
    windows = (
        _per_minute(facts)
        .join(bars, on=["market", "window_start"], how="full", coalesce=True)
        .join(late, on=["market", "window_start"], how="left")
        .join(closed_to, on="market", how="left")
        .with_columns(pl.col("in_bronze", "in_bars", "copies", "late").fill_null(0))
    )
    is_open = pl.col("last_bar").is_null() | (pl.col("window_start") > pl.col("last_bar"))
    ahead = (pl.col("in_bars") - pl.col("in_bronze")).clip(0).alias("ahead")
    off = (pl.col("in_bronze") - pl.col("in_bars") - pl.col("late")).abs() + (pl.col("copies") - 1).clip(0)
    for market in markets_of(windows):
        own = windows.filter(pl.col("market") == market)
        waiting = int(own.filter(is_open)["in_bronze"].sum())
        behind = int(own["late"].sum())
        wrong = own.filter(~is_open).select("window_start", ahead, off=off).filter(pl.col("off") > 0)
        early = min(waiting_records(facts), int(wrong["ahead"].sum()))  # bars has read what bronze has yet to read
        notes = [f"{waiting} in open windows"] * bool(waiting) + [f"{behind} late"] * bool(behind)
        notes += [f"{early} wait in Kafka"] * bool(early)
        notes += [f"{wrong.height} windows differ, first {wrong['window_start'].min()!s}"] * bool(wrong.height)
        yield Finding(
            "bronze -> bars_1m",
            f"{market} trades",
            int(own["in_bronze"].sum()),
            int(own["in_bars"].sum()),
            unexplained=int(wrong["off"].sum()) - early,
            explained=waiting + behind + early,
            note=", ".join(notes),
        )


def _bronze_to_repaired(facts: Facts) -> Iterator[Finding]:
    # What came behind a repair is listed as late, like all that the streamed bar lacks; the next repair takes it.
    key = ["market", "window_start"]
    own = facts.repaired_bars.join(facts.gold_bars, on=key, how="anti").join(_per_minute(facts), on=key, how="left")
    if own.is_empty():
        return
    lacks = pl.col("in_bronze").fill_null(0) - pl.col("trade_count")
    ahead, behind = (int(own.select(part.clip(0).sum()).item()) for part in (-lacks, lacks))
    parts = {
        "more than bronze has": ahead,
        "rows doubled": own.height - own.select(key).n_unique(),
        "came behind the repair": behind,
    }
    yield Finding(
        "bronze -> repaired_bars_1m",
        "trades of repaired minutes",
        int(own["in_bronze"].sum()),
        int(own["trade_count"].sum()),
        unexplained=ahead + parts["rows doubled"],
        explained=behind,
        note=counted(parts),
    )


def _minutes_to_fives(facts: Facts) -> Iterator[Finding]:
    window = pl.col("window_start").dt.truncate(_FIVE)
    minutes = facts.bars_1m.group_by("market", window.alias("window_start")).agg(pl.col("trade_count").sum())
    joined = facts.bars_5m.join(minutes, on=["market", "window_start"], how="left", suffix="_1m")
    wrong = joined.filter(pl.col("trade_count") != pl.col("trade_count_1m").fill_null(0))
    doubled = facts.bars_5m.height - facts.bars_5m.select("market", "window_start").n_unique()
    yield Finding(
        "bars_1m -> bars_5m",
        "5-minute windows",
        joined.height,
        joined.height - wrong.height,
        unexplained=wrong.height + doubled,
        note=f"{doubled} rows doubled" if doubled else "",
    )


def _minutes_to_means(facts: Facts) -> Iterator[Finding]:
    # The mean of a window is told when its last minute is written: each minute up to the newest mean has one.
    ends = pl.col("window_start")
    rolled = facts.bars_1m.sort("market", "window_start").rolling("window_start", period=_FIVE, group_by="market")
    want = rolled.agg(pl.col("trade_count").sum()).with_columns(ends - timedelta(minutes=4))
    means = facts.price_means
    newest = means.group_by("market").agg(pl.col("window_start").max().alias("newest"))
    owed = want.join(newest, on="market").filter(pl.col("window_start") <= pl.col("newest")).drop("newest")
    both = owed.join(means, on=["market", "window_start"], suffix="_mean")
    wrong = both.filter(pl.col("trade_count") != pl.col("trade_count_mean")).height
    missing = owed.join(means, on=["market", "window_start"], how="anti").height
    extra = means.join(owed, on=["market", "window_start"], how="anti").height
    doubled = means.height - means.select("market", "window_start").n_unique()
    parts = {"different": wrong, "missing": missing, "without a minute": extra, "rows doubled": doubled}
    yield Finding(
        "bars_1m -> price_means_5m",
        "sliding windows",
        owed.height,
        means.height,
        unexplained=wrong + missing + extra + doubled,
        note=counted(parts),
    )


def _compare_rows(
    hop: str,
    what: str,
    want: pl.DataFrame,
    got: pl.DataFrame,
    values: list[str],
    *,
    before: pl.DataFrame | None = None,
    may_trail: bool = False,
) -> Finding:
    key = ["market", "window_start"]
    extra = got.join(want, on=key, how="anti").height
    if before is not None:
        want = want.join(before, on=[*key, *values], how="semi", nulls_equal=True)
    joined = want.join(got, on=key, how="left", suffix="_got", maintain_order="left")
    missing = want.join(got, on=key, how="anti")
    newest = got.group_by("market").agg(pl.col("window_start").max().alias("newest"))
    is_behind = pl.col("newest").is_null() | (pl.col("window_start") > pl.col("newest"))
    waiting = missing.join(newest, on="market", how="left").filter(is_behind).height if may_trail else 0
    absent = missing.height - waiting
    differs = pl.any_horizontal([pl.col(v).ne_missing(pl.col(f"{v}_got")) for v in values])
    wrong = joined.filter(pl.col(f"{values[0]}_got").is_not_null() & differs).height
    parts = {"missing": absent, "different": wrong, "not in the lake": extra, "wait to be published": waiting}
    return Finding(hop, what, want.height, got.height, absent + wrong + extra, waiting, counted(parts))


def _latest(*tables: pl.DataFrame) -> pl.DataFrame:
    """Bars of all tables; of a minute that several have, the bar of the last of them."""
    key = ["market", "window_start"]
    latest = tables[0].select(*key, "trade_count", "close")
    for table in tables[1:]:
        rows = table.select(latest.columns)
        latest = pl.concat([latest.join(rows, on=key, how="anti"), rows])
    return latest


def _served_truth(facts: Facts) -> pl.DataFrame:
    # A closed hour is served as it was recomputed, late trades and repairs included; before that, its repaired minutes.
    return _latest(facts.bars_1m, facts.repaired_bars, facts.gold_bars)


def _provisional(facts: Facts) -> pl.DataFrame:
    streamed = _latest(facts.bars_1m, facts.repaired_bars)
    return streamed.join(facts.gold_enriched, on=["market", "window_start"], how="anti")


def _bars_to_served(facts: Facts) -> Iterator[Finding]:
    if facts.served_bars is not None:
        yield _compare_rows(
            "bars -> PostgreSQL",
            "bars",
            _served_truth(facts),
            facts.served_bars,
            ["trade_count", "close"],
            before=_served_truth(facts.before) if facts.before else None,
            may_trail=facts.is_stopped,
        )
    if facts.served_enriched is not None:
        yield _compare_rows(
            "bars_1m -> market_enriched",
            "provisional rows",
            _provisional(facts),
            facts.served_enriched.filter(~pl.col("is_final")),
            ["trade_count"],
            before=_provisional(facts.before) if facts.before else None,
            may_trail=facts.is_stopped,
        )


def _bronze_to_silver(facts: Facts) -> Iterator[Finding]:
    hour = pl.col("event_time").dt.strftime("%Y-%m-%d-%H").alias("event_hour")
    truth = facts.trades.unique(["market", "trade_id"]).with_columns(hour)
    for name in sorted(facts.silver_trades["event_hour"].unique().to_list()):
        want = truth.filter(pl.col("event_hour") == name).select("market", "trade_id")
        got = facts.silver_trades.filter(pl.col("event_hour") == name).select("market", "trade_id")
        doubled = got.height - got.unique().height
        owed = want if facts.before is None else want.join(facts.before.trades, on=["market", "trade_id"], how="semi")
        lost = owed.join(got, on=["market", "trade_id"], how="anti").height
        extra = got.join(want, on=["market", "trade_id"], how="anti").height
        parts = {"missing": lost, "doubled": doubled, "not in bronze": extra}
        yield Finding(
            "bronze -> silver.trades",
            f"{name} trade ids",
            want.height,
            got.height,
            unexplained=lost + doubled + extra,
            note=counted(parts),
        )


def _per_hour(facts: Facts) -> pl.DataFrame:
    return facts.silver_trades.group_by("event_hour").agg(pl.len().cast(pl.Int64).alias("trades"))


def _silver_to_gold(facts: Facts) -> Iterator[Finding]:
    trades = _per_hour(facts)
    bars = facts.gold_bars.group_by("event_hour").agg(
        pl.col("trade_count").sum(), (pl.len() - pl.struct("market", "window_start").n_unique()).alias("doubled")
    )
    if facts.before:  # an hour that was just read anew gets its bars anew in the same run
        trades = trades.join(_per_hour(facts.before), on=["event_hour", "trades"], how="semi")
    for row in trades.join(bars, on="event_hour", how="inner").sort("event_hour").iter_rows(named=True):
        yield Finding(
            "silver.trades -> gold.bars_1m",
            f"{row['event_hour']} trades",
            row["trades"],
            row["trade_count"],
            unexplained=abs(row["trades"] - row["trade_count"]) + row["doubled"],
            note=f"{row['doubled']} rows doubled" if row["doubled"] else "",
        )


def _gold_hours(facts: Facts) -> pl.DataFrame:
    hours = facts.gold_enriched["event_hour"].unique()
    return facts.gold_bars.filter(pl.col("event_hour").is_in(hours.implode()))


def _gold_to_served(facts: Facts) -> Iterator[Finding]:
    before = facts.before
    bars = _gold_hours(facts)
    values = ["trade_count"]
    if bars.height or facts.gold_enriched.height:
        bars_before = _gold_hours(before) if before else None
        hop = "gold.bars_1m -> market_enriched"
        yield _compare_rows(hop, "rows", bars, facts.gold_enriched, values, before=bars_before)
    if facts.served_enriched is not None and facts.gold_enriched.height:
        final = facts.served_enriched.filter(pl.col("is_final"))
        rows_before = before.gold_enriched if before else None
        hop = "market_enriched -> PostgreSQL"
        yield _compare_rows(hop, "final rows", facts.gold_enriched, final, values, before=rows_before)


def _newest(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.group_by("market").agg(pl.col("window_start").max())


def _served_to_cache(facts: Facts) -> Iterator[Finding]:
    if facts.cached is None or facts.served_bars is None:
        return
    served = facts.before.served_bars if facts.before else facts.served_bars
    newest = _newest(facts.served_bars).join(
        _newest(facts.served_bars if served is None else served), on="market", how="left", suffix="_before"
    )
    cached = newest.join(facts.cached, on="market", how="left", suffix="_cached")
    # A market that appeared since is on its way; the cache stands between what was served before and is served now.
    is_right = pl.col("window_start_cached").is_between("window_start_before", "window_start")
    behind = cached.filter(pl.col("window_start_before").is_not_null() & ~is_right.fill_null(False))
    yield Finding(
        "PostgreSQL -> Redis",
        "newest bar of each market",
        newest.height,
        newest.height - behind.height,
        unexplained=behind.height,
        note=", ".join(sorted(behind["market"].to_list())),
    )


def _gaps_to_served(facts: Facts) -> Iterator[Finding]:
    if facts.served_gaps is None:
        return
    key, values = ["market", "first_id"], ["last_id", "state", "repaired_count"]
    owed = facts.gap_ledger if facts.before is None else facts.before.gap_ledger
    # What the ledger said of a gap before may have been served, and since then been served anew.
    told = pl.concat([facts.gap_ledger, owed]).unique()
    missing = owed.join(facts.served_gaps, on=key, how="anti").height
    extra = facts.served_gaps.join(facts.gap_ledger, on=key, how="anti").height
    wrong = facts.served_gaps.join(told, on=[*key, *values], how="anti").height - extra
    waiting = missing + wrong if facts.is_stopped else 0  # the next start publishes it
    parts = {"missing": missing, "different": wrong, "not in the lake": extra, "wait to be published": waiting}
    yield Finding(
        "gaps -> PostgreSQL",
        "gaps",
        owed.height,
        facts.served_gaps.height,
        unexplained=missing + wrong + extra - waiting,
        explained=waiting,
        note=counted(parts),
    )


def _rejects(facts: Facts) -> Iterator[Finding]:
    total = int(facts.rejected["records"].sum())
    nameless = int(facts.rejected.filter(pl.col("reason").is_null() | (pl.col("reason") == ""))["records"].sum())
    reasons = facts.rejected.group_by("reason").agg(pl.col("records").sum()).sort("reason").iter_rows()
    note = ", ".join(f"{count} {reason}" for reason, count in reasons)
    missing = max(0, (facts.injected or 0) - total)
    if missing:
        note += f"; {missing} of {facts.injected} injected faults were not rejected"
    yield Finding(
        "rejected",
        "records with a reason",
        max(total, facts.injected or 0),
        total - nameless,
        unexplained=nameless + missing,
        note=note,
    )
