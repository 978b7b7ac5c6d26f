"""live: trades -> each market as it is right now, and alerts, in PostgreSQL, Kafka and Redis within seconds.

While PostgreSQL is away this query waits with its batch; the lake's queries go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.serving import LIVE_MARKETS
from crypto_intel.contracts.settings import Source
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Figures, start
from streaming.jobs.slices import advanced, last_offsets, planned
from streaming.jobs.slices import run as run_slices
from streaming.settings import StreamingSettings
from streaming.sinks.delta import query_id
from streaming.sinks.states import StateFiles, States
from streaming.spark import read_kafka
from streaming.transforms.bars import TRADE_SCHEMA
from streaming.transforms.decode import Records, decode
from streaming.transforms.frames import TIME
from streaming.transforms.live import LiveState, MoveRule, advance, alert_id

NAME = "live"
_TIME_OF = ["market", "event_time"]
_MARKET_SCHEMA = {
    column.name: pl.Int64
    if column.type in ("timestamp", "bigint")
    else pl.Float64
    if column.type == "double"
    else pl.String
    for column in LIVE_MARKETS.columns
}


_markets = msgspec.msgpack.Decoder(dict[str, LiveState])


class Emitted(msgspec.Struct):
    """What a slice gave: (market, row) of markets that traded, (market, move) of moves that fired."""

    rows: list[tuple[str, dict[str, Any]]] = []
    moves: list[tuple[str, dict[str, Any]]] = []


@dataclass(frozen=True)
class Live:
    """The step of a slice: its trades into the states of their markets, live rows and moves out."""

    rule: MoveRule

    def __call__(self, records: Records, state: bytes | None) -> tuple[bytes | None, bytes]:
        """Advance the markets that have records here."""
        decoded = decode(records)
        markets = _markets.decode(state) if state else {}
        events = pl.concat([decoded.trades.select(_TIME_OF), decoded.beats.select(_TIME_OF)])
        clocks = dict(events.group_by("market").agg(pl.max("event_time")).iter_rows())
        trades = {str(market): rows for (market,), rows in decoded.trades.partition_by("market", as_dict=True).items()}
        emitted = Emitted()
        for market, clock_us in clocks.items():
            if market in trades or market in markets:
                live = markets.setdefault(market, LiveState())
                own = trades.get(market, decoded.trades.clear())
                row, moves = advance(live, own.select(list(TRADE_SCHEMA)), clock_us, self.rule)
                emitted.rows += [(market, row)] if row and market in trades else []
                emitted.moves += [(market, move) for move in moves]
        return msgspec.msgpack.encode(markets), msgspec.msgpack.encode(emitted)


def run(session: SparkSession, settings: StreamingSettings, publisher: Publisher, figures: Figures) -> StreamingQuery:
    """Start the query."""
    records = read_kafka(session, settings, [settings.topics.trades])
    sink = Sink(settings, publisher, figures)
    return start(records, NAME, settings, every_s=settings.triggers.live_s, sink=sink.write)


class Sink:
    """Takes the query's batches."""

    def __init__(self, settings: StreamingSettings, publisher: Publisher, figures: Figures) -> None:
        alerts = settings.alerts
        self._step = Live(MoveRule(alerts.price_move_pct, alerts.price_move_window_s, alerts.cooldown_s))
        self._source = settings.source
        self._publisher = publisher
        self._figures = figures
        self._kafka = settings.kafka
        self._checkpoint = f"{settings.checkpoint_root}/{NAME}"
        self._states = StateFiles(
            f"{self._checkpoint}/states", {"alerts.price_move_window_s": str(alerts.price_move_window_s)}
        )

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """Publish a batch.

        Raises:
            FatalError: its states are not there, or it was begun before with other offsets.
        """
        before = self._states.before(batch_id) or States()
        ranges = planned(self._checkpoint, batch_id, before)
        self._states.begin(batch_id, last_offsets(ranges))
        results = run_slices(batch.sparkSession.sparkContext, self._kafka, ranges, self._step, before.partitions)
        after = advanced(before, results)
        emitted = [msgspec.msgpack.decode(result.output, type=Emitted) for result in results]
        now_us = self._publisher.now_us()
        markets = live_markets([row for part in emitted for row in part.rows], now_us, self._source)
        alerts = [raised(market, move, now_us, self._source) for part in emitted for market, move in part.moves]
        if markets.height or alerts:
            upserts = {"live_markets": markets} if markets.height else {}
            self._publisher.publish(NAME, query_id(batch), batch_id, upserts, alerts=alerts)
        self._states.write(batch_id, after)
        states = list(after.partitions.values())
        records = sum(result.records for result in results)
        self._figures.tell(
            NAME, records=records, rows=sum(len(_markets.decode(s)) for s in states), size=sum(map(len, states))
        )


def live_markets(rows: Sequence[tuple[str, dict[str, Any]]], now_us: int, source: Source) -> pl.DataFrame:
    """Rows of the served table live_markets."""
    told = [{**row, **_market(market), "updated_at": now_us, "source": source} for market, row in rows]
    frame = pl.DataFrame(told, schema=_MARKET_SCHEMA)
    times = [column.name for column in LIVE_MARKETS.columns if column.type == "timestamp"]
    return frame.with_columns(pl.col(times).cast(TIME))


def _market(market: str) -> dict[str, str]:
    venue, _, symbol = market.partition(":")
    return {"venue": venue, "symbol": symbol}


def raised(market: str, move: dict[str, Any], now_us: int, source: Source) -> Alert:
    """The alert of a move that fired."""
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
