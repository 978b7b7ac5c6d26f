"""Minutes that streamed without trades which a repair brought: folded again before their hour is made.

What belongs here: reading, the fold of an hour so far, and what differs from what streamed. What does not: the repair
itself, which the producers do through Kafka by trade id, and hours that are made already (automation/rebuilding.py).
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.events import GAP_STATUSES
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_TRADES,
    SILVER_BARS_1M,
    SILVER_GAPS,
    SILVER_LATE_ARRIVALS,
)
from crypto_intel.core.compare import EXACT
from crypto_intel.core.completeness import with_unrecoverable
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel.core.gaps import fold
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.trades import distinct_trades
from crypto_intel.operations.batch import feed_around, losses_since, trades_before
from crypto_intel.resources.lake import Lake
from streaming.transforms.batch import batch_bars

_MARKET = ["venue", "symbol"]
_KEY = [*_MARKET, "window_start"]
_TOLD = ["completeness", "completeness_reason", "coverage_pct"]


def repaired_minutes(lake: Lake, hour: datetime) -> pl.DataFrame:
    """Rows of gold.repaired_bars_1m of an hour: streamed minutes that are something else by now, and their neighbours
    whose coverage counts from them.

    Args:
        hour: its start; it need not be over.
    """
    within = (pl.col("event_date") == hour.date()) & pl.col("window_start").is_between(hour, hour + HOUR, closed="left")
    markets = lake.scan(SILVER_LATE_ARRIVALS).filter(within).select(_MARKET).unique().collect()
    if markets.is_empty():
        return empty_frame(GOLD_REPAIRED_BARS_1M)
    streamed = lake.scan(SILVER_BARS_1M).filter(within).collect().join(markets, on=_MARKET, how="semi")
    now = _fold(lake, hour, markets)
    was = streamed.select(*_KEY, *EXACT, *_TOLD)
    changed = now.join(was, on=[*_KEY, *EXACT, *_TOLD], how="anti", nulls_equal=True)
    both = changed.join(was.select(_KEY), on=_KEY, how="semi").with_columns(event_hour=pl.lit(event_hour(hour)))
    return conform(both, GOLD_REPAIRED_BARS_1M).sort(_KEY)


def _fold(lake: Lake, hour: datetime, markets: pl.DataFrame) -> pl.DataFrame:
    trades = distinct_trades(lake.scan(BRONZE_TRADES), hour).join(markets, on=_MARKET, how="semi")
    before = trades_before(lake, hour).join(markets, on=_MARKET, how="semi")
    bars = batch_bars(trades, feed_around(lake, hour), start=hour, end=hour + HOUR, before=before)
    return with_unrecoverable(bars, before, losses_since(lake, hour))


def is_repaired(lake: Lake, hour: datetime) -> bool:
    """Gaps were found since the hour began, and none of them is open: what repairs were to bring is told to be here.

    Args:
        hour: its start.
    """
    told = lake.scan(BRONZE_FEED_STATUS).filter(
        pl.col("event_date") >= hour.date(), pl.col("status").is_in(GAP_STATUSES), pl.col("received_at") >= hour
    )
    ledger = fold(told.collect())
    return not ledger.is_empty() and "open" not in ledger["state"]


def proof(lake: Lake, ledger: pl.DataFrame, hour: datetime) -> pl.DataFrame:
    """Of each gap of an hour that was repaired: how many of its ids are in the lake.

    Args:
        ledger: rows of silver.gaps.

    Returns:
        venue, symbol, first_id, last_id, ids, found; a row a gap that lies around or in the hour, by its key.
    """
    end = hour + HOUR
    meets = (pl.coalesce("span_start", "found_at") < end) & (pl.coalesce("span_end", "found_at") >= hour)
    closed = ledger.filter((pl.col("state") == "repaired") & meets).select(*_MARKET, "first_id", "last_id")
    days = [hour.date(), end.date()]
    ids = (
        lake.scan(BRONZE_TRADES)
        .filter(pl.col("event_date").is_between(days[0], days[1]))
        .select(*_MARKET, "trade_id")
        .unique()
        .join(closed.lazy(), on=_MARKET)
        .filter(pl.col("trade_id").is_between(pl.col("first_id"), pl.col("last_id")))
        .group_by(*_MARKET, "first_id")
        .agg(found=pl.len().cast(pl.Int64))
        .collect()
    )
    return (
        closed.join(ids, on=[*_MARKET, "first_id"], how="left")
        .with_columns(ids=pl.col("last_id") - pl.col("first_id") + 1, found=pl.col("found").fill_null(0))
        .sort(*_MARKET, "first_id")
    )


def ledger_of(lake: Lake) -> pl.DataFrame:
    """silver.gaps as it was last written."""
    return lake.scan(SILVER_GAPS).collect()
