"""live: trades -> each market as it is right now, and alerts, in PostgreSQL, Kafka and Redis within seconds.

While PostgreSQL is away this query waits with its batch; the lake's queries go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.serving import LIVE_MARKETS
from crypto_intel.contracts.settings import Source
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Step, per_market, start
from streaming.settings import Alerts, StreamingSettings
from streaming.sinks.delta import query_id
from streaming.transforms.bars import TRADE_SCHEMA
from streaming.transforms.live import LiveState, MoveRule, advance, alert_id

NAME = "live"
_UTC_US = pl.Datetime("us", "UTC")
_MARKET_SCHEMA = {
    column.name: pl.Int64
    if column.type in ("timestamp", "bigint")
    else pl.Float64
    if column.type == "double"
    else pl.String
    for column in LIVE_MARKETS.columns
}


def run(session: SparkSession, settings: StreamingSettings, publisher: Publisher) -> StreamingQuery:
    """Start the query."""
    emitted = per_market(session, settings, live_step(settings.alerts))
    return start(emitted, NAME, settings, every_s=settings.triggers.live_s, sink=_sink(settings, publisher))


def live_step(alerts: Alerts) -> Step:
    """The stateful operator's step: a batch of a market's events into its state, its live row and alerts out."""
    rule = MoveRule(alerts.price_move_pct, alerts.price_move_window_s, alerts.cooldown_s)

    def step(market: str, state: bytes | None, events: pl.DataFrame) -> tuple[bytes, list[tuple[str, dict[str, Any]]]]:
        live = msgspec.msgpack.decode(state, type=LiveState) if state else LiveState()
        trades = events.filter(pl.col("is_trade")).select(list(TRADE_SCHEMA))
        row, moves = advance(live, trades, int(events["event_time"].max()), rule)  # type: ignore[arg-type]
        rows = [("live", row)] if row and trades.height else []
        return msgspec.msgpack.encode(live), rows + [("alert", move) for move in moves]

    return step


def _sink(settings: StreamingSettings, publisher: Publisher) -> Callable[[DataFrame, int], None]:
    def write(batch: DataFrame, batch_id: int) -> None:
        emitted = pl.from_arrow(batch.toArrow())
        now_us = publisher.now_us()
        markets = live_markets(emitted, now_us, settings.source)  # type: ignore[arg-type]
        alerts = raised(emitted, now_us, settings.source)  # type: ignore[arg-type]
        if markets.height or alerts:
            upserts = {"live_markets": markets} if markets.height else {}
            publisher.publish(NAME, query_id(batch), batch_id, upserts, alerts=alerts)

    return write


def live_markets(emitted: pl.DataFrame, now_us: int, source: Source) -> pl.DataFrame:
    """Rows of the served table live_markets among what the operator emitted."""
    rows = [
        {**msgspec.json.decode(row), **_market(market), "updated_at": now_us, "source": source}
        for kind, market, row in emitted.iter_rows()
        if kind == "live"
    ]
    frame = pl.DataFrame(rows, schema=_MARKET_SCHEMA)
    times = [column.name for column in LIVE_MARKETS.columns if column.type == "timestamp"]
    return frame.with_columns(pl.col(times).cast(_UTC_US))


def raised(emitted: pl.DataFrame, now_us: int, source: Source) -> list[Alert]:
    """Alerts among what the operator emitted."""
    return [
        _alert(market, msgspec.json.decode(row), now_us, source)
        for kind, market, row in emitted.iter_rows()
        if kind == "alert"
    ]


def _market(market: str) -> dict[str, str]:
    venue, _, symbol = market.partition(":")
    return {"venue": venue, "symbol": symbol}


def _alert(market: str, move: dict[str, Any], now_us: int, source: Source) -> Alert:
    where = _market(market)
    minutes = max(1, round((move["window_end"] - move["window_start"]) / 60_000_000))
    size = abs(move["value"])
    verb = "rose" if move["direction"] == "up" else "fell"
    origin = {"sim": "Simulated: ", "replay": "Replay: ", "live": ""}[source]
    return Alert(
        alert_id=alert_id(move["rule"], market, move["window_start"], move["direction"], move["trade_id"]),
        rule=move["rule"],
        severity="critical" if size >= 2 * move["threshold"] else "warning",
        venue=where["venue"],
        symbol=where["symbol"],
        window_start=move["window_start"],
        window_end=move["window_end"],
        raised_at=now_us,
        value=move["value"],
        threshold=move["threshold"],
        unit="pct",
        message=f"{origin}{where['symbol']} {verb} {size:.2f} % within {minutes} min, to {move['price']:g}",
        source=source,
    )
