"""A lake as the streaming application would have left it after a recording, made without Kafka and Spark.

Trades are read from the recording's frames here, not by the project's parser; streamed bars come from the stream's own
fold, fed in small batches as the stream feeds it. Used by tests of the graph and by `make checks`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, SILVER_BARS_1M
from crypto_intel.core.frames import conform
from crypto_intel_tests.crypto_intel import lakes
from streaming.transforms.batch import to_frame, to_trades
from streaming.transforms.market import MarketState, Signals, advance

SYMBOLS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}
BEAT = timedelta(seconds=2)
SLICE = 500
"""Trades a batch of the fold."""

DELAY_US = 10_000_000


def fill(lake: Path, capture: Path) -> pl.DataFrame:
    """Write bronze.trades, bronze.feed_status and silver.bars_1m of a recording; returns its trades."""
    trades = conform(pl.DataFrame(list(_records(capture)), infer_schema_length=None), BRONZE_TRADES)
    lakes.append(lake, BRONZE_TRADES, trades)
    first, last = (trades["event_time"].min(), trades["event_time"].max())
    assert isinstance(first, datetime) and isinstance(last, datetime)
    beats = lakes.heartbeats(first, last, every_s=int(BEAT.total_seconds()), ended=True, taken_at=datetime.now(UTC))
    lakes.append(lake, BRONZE_FEED_STATUS, beats)
    bars = pl.concat(_streamed_bars(trades, symbol) for symbol in sorted(SYMBOLS.values()))
    lakes.append(lake, SILVER_BARS_1M, conform(bars, SILVER_BARS_1M))
    return trades


def _records(capture: Path) -> Iterator[dict[str, Any]]:
    offset = 0
    for path in sorted(capture.glob("spot_*.txt.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                received_ns, _, text = line.partition(" ")
                frame = json.loads(text)
                event = frame.get("data", frame)
                if event.get("e") != "trade":
                    continue
                offset += 1
                at = datetime.fromtimestamp(int(received_ns) / 1e9, UTC)
                yield {
                    **lakes.trade(event["t"], datetime.fromtimestamp(event["T"] / 1000, UTC)),
                    "symbol": SYMBOLS[event["s"]],
                    "price": Decimal(event["p"]),
                    "quantity": Decimal(event["q"]),
                    "taker_side": "sell" if event["m"] else "buy",
                    "received_at": at,
                    "kafka_offset": offset,
                    "kafka_time": at,
                }


def _streamed_bars(trades: pl.DataFrame, symbol: str) -> pl.DataFrame:
    rows = to_trades(trades.filter(pl.col("symbol") == symbol).sort("kafka_offset"))
    state, bars = MarketState(), []
    for start in range(0, rows.height, SLICE):
        batch = rows.slice(start, SLICE)
        is_last = start + SLICE >= rows.height
        beats = np.array([batch["event_time"].max()], dtype=np.int64)
        bars += advance(state, batch, Signals(beats, is_last), delay_us=DELAY_US).minutes
    frame = to_frame("binance", symbol, bars)
    return frame.with_columns(event_date=pl.col("window_start").dt.date())
