"""Recordings for the end-to-end tests: the real one where it is, else one of the same form; and its recount."""

from __future__ import annotations

import gzip
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

TRADES_A_QUOTE = 10


def write_capture(folder: Path, *, seconds: int = 660, seed: int = 5) -> Path:
    """A recording in the form of the real one: combined-stream frames of two markets over an hour's edge, as long.

    The recorder's clock runs 1.27 s behind the venue's, as the real recorder's did.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rnd = random.Random(seed)
    start_ms = 1_723_161_600_000 - seconds * 500  # half of it before 2024-08-09T00:00:00Z
    for name, first_price, first_id in (("BTCUSDT", 61_700.0, 3_735_683_259), ("ETHUSDT", 2_680.0, 1_520_538_925)):
        lines, at, price, trade_id = [], float(start_ms), first_price, first_id
        while at < start_ms + seconds * 1000:
            at += rnd.expovariate(20 / 1000)
            price *= 1 + rnd.gauss(0, 2e-5)
            trade_id += 1
            event = {"e": "trade", "E": int(at) + 1, "s": name, "t": trade_id, "p": f"{price:.2f}000000"}
            event |= {"q": f"{rnd.expovariate(20):.5f}001", "T": int(at), "m": rnd.random() < 0.5, "M": True}
            received_ns = int((at - 1270) * 1e6)
            lines.append(_line(received_ns, f"{name.lower()}@trade", event))
            if trade_id % TRADES_A_QUOTE == 0:
                best = {"u": trade_id, "s": name, "b": f"{price - 0.01:.8f}", "B": "1.5", "a": f"{price:.8f}", "A": "2"}
                lines.append(_line(received_ns, f"{name.lower()}@bookTicker", best))
        with gzip.open(folder / f"spot_{name.lower()}_20240808.txt.gz", "wt") as file:
            file.writelines(lines)
    return folder


def _line(received_ns: int, stream: str, data: dict[str, Any]) -> str:
    return f"{received_ns} {json.dumps({'stream': stream, 'data': data}, separators=(',', ':'))}\n"


def recorded_trades(capture: Path) -> pl.DataFrame:
    """Trades of a recording, read without the project's code: symbol, id, price, quantity, time_ms; one per id."""
    rows: list[tuple[Any, ...]] = []
    for path in sorted(capture.glob("spot_*.txt.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                frame = json.loads(line.split(" ", 1)[1])
                event = frame.get("data", frame)
                if event.get("e") == "trade":
                    price, quantity = float(Decimal(event["p"])), float(Decimal(event["q"]))
                    rows.append((event["s"], event["t"], price, quantity, event["T"]))
    frame = pl.DataFrame(rows, schema=["symbol", "id", "price", "quantity", "time_ms"], orient="row")
    return frame.unique(["symbol", "id"]).sort("symbol", "id")


def recounted_bars(trades: pl.DataFrame, window_ms: int) -> pl.DataFrame:
    """Bars of recorded trades: symbol, window_start, trade_count, open, high, low, close, volume_base."""
    window = pl.from_epoch(pl.col("time_ms") // window_ms * window_ms, time_unit="ms")
    return (
        trades.group_by("symbol", window_start=window.dt.cast_time_unit("us").dt.replace_time_zone("UTC"))
        .agg(
            trade_count=pl.len().cast(pl.Int64),
            open=pl.col("price").sort_by("id").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").sort_by("id").last(),
            volume_base=pl.col("quantity").sum(),
        )
        .with_columns(symbol=pl.col("symbol").str.replace("USDT", "-USDT"))
        .sort("symbol", "window_start")
    )
