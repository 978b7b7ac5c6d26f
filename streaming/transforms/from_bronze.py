"""Rows of bronze back into what the stateful steps take: for what is folded or judged again."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streaming.transforms.decode import BEATS, TRADE_EVENTS

MARKET = pl.concat_str("venue", "symbol", separator=":").alias("market")
"""`venue:symbol` of a row."""


def trade_events(rows: pl.LazyFrame, also: Sequence[str] = ()) -> pl.LazyFrame:
    """Rows of bronze.trades or silver.trades as decode.TRADE_EVENTS, with the columns `also` beside them."""
    events = rows.select(
        MARKET,
        "trade_id",
        pl.col("price").cast(pl.Float64),
        pl.col("quantity").cast(pl.Float64),
        *also,
        is_buy=pl.col("taker_side") == "buy",
        is_rest=pl.col("origin") == "rest",
        event_time=pl.col("event_time").dt.epoch("us"),
    )
    return events.select(*TRADE_EVENTS, *also)


def beat_events(rows: pl.LazyFrame, markets: Sequence[str], also: Sequence[str] = ()) -> pl.LazyFrame:
    """Heartbeats among rows of bronze.feed_status as decode.BEATS, with the columns `also` beside them.

    The lake keeps a heartbeat without its symbols: it is for every market of its venue among `markets`.
    """
    of_venue = pl.LazyFrame({"market": markets}, schema={"market": pl.String}).with_columns(
        venue=pl.col("market").str.split(":").list.first()
    )
    beats = rows.filter(pl.col("status").is_in(["heartbeat", "ended"])).select(
        "venue", *also, event_time=pl.col("event_time").dt.epoch("us"), ended=pl.col("status") == "ended"
    )
    return beats.join(of_venue, on="venue", maintain_order="left").select(*BEATS, *also)
