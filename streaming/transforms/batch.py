"""Bars of a stretch of time at once, from de-duplicated trades: the batch that the stream is compared with.

It runs every market through the same state machine as the stream (market.py), given all records at once: repairs
included, nothing late.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from crypto_intel.contracts.tables import GOLD_BARS_1M
from streaming.transforms.bars import FIVE_MINUTES_US, MINUTE_US, TRADE_SCHEMA, Before
from streaming.transforms.intervals import from_ids, union
from streaming.transforms.market import Closed, MarketState, Signals, advance

_UTC_US = pl.Datetime("us", "UTC")
_BAR_COLUMNS = [name for name in GOLD_BARS_1M.column_names if name != "event_hour"]
BAR_SCHEMA: dict[str, Any] = dict(
    pl.from_arrow(GOLD_BARS_1M.arrow_schema().empty_table()).select(_BAR_COLUMNS).schema  # type: ignore[union-attr]
)
"""Columns and types of the bars that come out."""


def to_trades(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of bronze.trades or silver.trades as the bar functions take them (bars.TRADE_SCHEMA)."""
    return rows.select(
        "trade_id",
        pl.col("price").cast(pl.Float64),
        pl.col("quantity").cast(pl.Float64),
        (pl.col("taker_side") == "buy").alias("is_buy"),
        (pl.col("origin") == "rest").alias("is_rest"),
        pl.col("event_time").dt.epoch("us"),
    ).cast(TRADE_SCHEMA)  # type: ignore[arg-type]


def market_bars(
    venue: str,
    symbol: str,
    trades: pl.DataFrame,
    signals: Signals,
    *,
    start_us: int,
    end_us: int,
    window_s: int = 60,
    before: Before | None = None,
    later_ids: tuple[int, ...] = (),
) -> pl.DataFrame:
    """Bars (BAR_SCHEMA) of one market that start in [start_us, end_us).

    Args:
        trades: bars.TRADE_SCHEMA, of [start_us, end_us).
        signals: the feed's heartbeats from shortly before start_us to behind end_us.
        window_s: 60 or 300.
        before: last trade before start_us, if known.
        later_ids: trade ids known from end_us on: they prove that nothing is missing at the end.
    """
    state = MarketState(
        closed_us=start_us if before else 0,
        before_minute=before,
        before_five=before,
        seen=union([(before.last_id, before.last_id)] if before else [], from_ids(np.array(later_ids, dtype=np.int64))),
    )
    if trades.height or before:
        closed = advance(state, trades, signals, delay_us=0)
        _close_the_rest(state, trades, closed)
    else:
        closed = Closed()
    rows = closed.minutes if window_s * 1_000_000 == MINUTE_US else closed.fives
    return to_frame(venue, symbol, [row for row in rows if start_us <= row["window_start"] < end_us])


def _close_the_rest(state: MarketState, trades: pl.DataFrame, closed: Closed) -> None:
    # Trades of a feed without heartbeats (history by REST): their own last window must close as well.
    if not state.minutes:
        return
    last = max(state.minutes) + FIVE_MINUTES_US
    more = advance(state, trades.clear(), Signals(np.array([last + MINUTE_US])), delay_us=0)
    closed.minutes += [row for row in more.minutes if row["trade_count"]]
    closed.fives += [row for row in more.fives if row["trade_count"]]


def to_frame(venue: str, symbol: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Finished rows of a market as a frame of BAR_SCHEMA."""
    raw = {name: pl.Int64 if isinstance(dtype, pl.Datetime) else dtype for name, dtype in BAR_SCHEMA.items()}
    frame = pl.DataFrame([{"venue": venue, "symbol": symbol, **row} for row in rows], schema=raw)
    return frame.with_columns(pl.col("window_start", "window_end").cast(_UTC_US))


def batch_bars(
    trades: pl.DataFrame,
    feed: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
    window_s: int = 60,
    before: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Bars (BAR_SCHEMA) of every market, of windows that start in [start, end), sorted by market and time.

    Args:
        trades: columns of silver.trades, one row per trade id, of [start, end).
        feed: rows of bronze.feed_status (venue, status, event_time) of the trades topic around that time.
        before: the last trade of each market before `start`: venue, symbol, trade_id, price.
    """
    known = _before_by_market(before)
    beats = _signals_by_venue(feed)
    start_us, end_us = (int(moment.timestamp() * 1_000_000) for moment in (start, end))
    markets = {**known, **{key: known.get(key) for key in _markets(trades)}}
    frames = [
        market_bars(
            venue,
            symbol,
            to_trades(trades.filter((pl.col("venue") == venue) & (pl.col("symbol") == symbol))),
            beats.get(venue, Signals(np.array([], dtype=np.int64))),
            start_us=start_us,
            end_us=end_us,
            window_s=window_s,
            before=last,
        )
        for (venue, symbol), last in sorted(markets.items())
    ]
    return pl.concat([pl.DataFrame(schema=BAR_SCHEMA), *frames])


def _markets(trades: pl.DataFrame) -> list[tuple[str, str]]:
    return [(venue, symbol) for venue, symbol in trades.select("venue", "symbol").unique().iter_rows()]


def _before_by_market(before: pl.DataFrame | None) -> Mapping[tuple[str, str], Before]:
    if before is None:
        return {}
    rows = before.select("venue", "symbol", "trade_id", pl.col("price").cast(pl.Float64)).iter_rows()
    return {(venue, symbol): Before(trade_id, price) for venue, symbol, trade_id, price in rows}


def _signals_by_venue(feed: pl.DataFrame) -> dict[str, Signals]:
    alive = feed.filter(pl.col("status").is_in(["heartbeat", "ended"]))
    return {
        str(venue): Signals(
            rows["event_time"].dt.epoch("us").unique().sort().to_numpy(), bool((rows["status"] == "ended").any())
        )
        for (venue,), rows in alive.group_by("venue")
    }
