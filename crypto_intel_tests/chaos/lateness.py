"""R13: some trades of a load come late. Which of them are behind the watermark is counted here by the rule's own words.

A trade is late when a sign of its market, before it in the order of its partition, was the windows' delay past the end
of its minute. What is in time belongs into its bar, what is late into none; the batch takes both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random

import polars as pl

from crypto_intel.contracts.events import Heartbeat, Trade, decode
from crypto_intel.core.hours import HOUR
from crypto_intel.core.trades import distinct_trades
from crypto_intel_tests.chaos.judgement import Verdict, judge_bars, read
from crypto_intel_tests.chaos.load import DELAY_US, MINUTE_US, Load, expected_bars, trade_frame
from streaming.transforms.batch import batch_bars

DELAYS_S = {30: 0.01, 20 * 60: 0.005}
"""Seconds by which trades come late, and which share of all does."""


def delay_some(load: Load, seed: int = 3) -> tuple[int, int, pl.DataFrame]:
    """Let trades come late: the load's records in their new order, its trades those that are in time all the same.

    Returns:
        How many were delayed, how many of them are late, and the bars of all.
    """
    draw, now_us, delayed = Random(seed), 0, 0
    timed = []
    for record in load.records:
        event = decode(record.value)
        if isinstance(event, Trade | Heartbeat):
            now_us = max(now_us, event.event_time)
        behind_s = _delay_s(draw.random()) if isinstance(event, Trade) else 0
        delayed += behind_s > 0
        timed.append((now_us + behind_s * 1_000_000, record))
    load.records = [record for _, record in sorted(timed, key=lambda item: item[0])]
    everything, late = expected_bars(trade_frame(load.trades), MINUTE_US), late_of(load)
    load.trades = [trade for trade in load.trades if (trade.venue, trade.symbol, trade.trade_id) not in late]
    return delayed, len(late), everything


def _delay_s(drawn: float) -> int:
    for seconds, share in DELAYS_S.items():
        if drawn < share:
            return seconds
        drawn -= share
    return 0


def late_of(load: Load) -> set[tuple[str, str, int]]:
    """Venue, symbol and id of the trades that are late in the order in which the records are sent."""
    clock: dict[tuple[str, str], int] = {}
    late: set[tuple[str, str, int]] = set()
    for event in (decode(record.value) for record in load.records):
        if isinstance(event, Heartbeat):
            markets = [(event.venue, symbol) for symbol in event.symbols]
        elif isinstance(event, Trade):
            markets = [(event.venue, event.symbol)]
            reached = clock.get(markets[0], 0) - DELAY_US
            if event.event_time < reached - reached % MINUTE_US:
                late.add((event.venue, event.symbol, event.trade_id))
        else:
            continue
        for market in markets:
            clock[market] = max(clock.get(market, 0), event.event_time)
    return late


def judge_recomputed(lake: Path, wanted: pl.DataFrame, verdict: Verdict) -> None:
    """Hold what the hours' batch makes of bronze to the bars of all trades, late ones among them."""
    records, feed = read(lake, "bronze.trades"), read(lake, "bronze.feed_status")
    first, last = (datetime.fromtimestamp(int(at) / 1e6, UTC) for at in wanted["window_start"].sort()[[0, -1]])
    hour, parts = first.replace(minute=0, second=0), []
    while hour <= last:
        trades = distinct_trades(records.lazy(), hour)
        parts.append(batch_bars(trades, feed, start=hour, end=hour + HOUR))
        hour += HOUR
    judge_bars(pl.concat(parts), wanted, "recomputed bars", verdict)
