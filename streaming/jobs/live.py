"""live: trades -> each market as it is right now, and alerts, in PostgreSQL, Kafka and Redis within seconds.

While PostgreSQL is away this query waits with its batch; the lake's queries go on. News comes from partitions of its
own: what a batch brings of it is known to the rules from the next batch on, so that a batch needs no second pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import polars as pl
import structlog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.serving import LIVE_MARKETS
from crypto_intel.contracts.settings import Source
from streaming.jobs.metrics import Metrics
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Figures, StateFigures, start
from streaming.jobs.slices import advanced, last_offsets, planned
from streaming.jobs.slices import run as run_slices
from streaming.settings import StreamingSettings
from streaming.sinks.delta import query_id
from streaming.sinks.rules import RulesInForce, RuleTable
from streaming.sinks.states import StateFiles, States
from streaming.spark import read_kafka
from streaming.steps.live import MARKETS, Emitted, Live, known_news
from streaming.steps.slice import Newest, Result
from streaming.transforms.frames import TIME
from streaming.transforms.live import LiveState
from streaming.transforms.rules import Fired, NewsItem, alert_id

NAME = "live"

log = structlog.get_logger(__name__)

_MARKET_SCHEMA = {
    column.name: pl.Int64
    if column.type in ("timestamp", "bigint")
    else pl.Float64
    if column.type == "double"
    else pl.String
    for column in LIVE_MARKETS.columns
}


def run(
    session: SparkSession, settings: StreamingSettings, publisher: Publisher, figures: Figures, metrics: Metrics
) -> StreamingQuery:
    """Start the query."""
    records = read_kafka(session, settings, [settings.topics.trades, settings.topics.news])
    sink = Sink(settings, publisher, figures, metrics)
    return start(records, NAME, settings, every_s=settings.triggers.live_s, sink=sink.write)


class Sink:
    """Takes the query's batches."""

    def __init__(self, settings: StreamingSettings, publisher: Publisher, figures: Figures, metrics: Metrics) -> None:
        table = RuleTable(settings.postgres_dsn) if settings.postgres_dsn else None
        self._rules = RulesInForce(settings.rules_file, table)
        self._step = Live(self._rules.book(), settings.topics.trades, settings.news_clock)
        self._news_topic = settings.topics.news
        self._source = settings.source
        self._publisher = publisher
        self._figures = figures
        self._metrics = metrics
        self._kafka = settings.kafka
        self._checkpoint = f"{settings.checkpoint_root}/{NAME}"
        self._states = StateFiles(
            f"{self._checkpoint}/states", {"news_clock": settings.news_clock}, dict[str, LiveState] | list[NewsItem]
        )

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """Publish a batch.

        Raises:
            FatalError: its states are not there, or it was begun before with other offsets.
        """
        before = self._states.before(batch_id) or States()
        ranges = planned(self._checkpoint, batch_id, before)
        self._states.begin(batch_id, last_offsets(ranges))
        step = replace(self._step, rules=self._rules.book(), news=known_news(before.partitions, self._news_topic))
        with self._figures.phase(NAME, "slices"):
            results = run_slices(batch.sparkSession.sparkContext, self._kafka, ranges, step, before.partitions)
        after = advanced(before, results)
        emitted = [msgspec.msgpack.decode(result.output, type=Emitted) for result in results]
        with self._figures.phase(NAME, "publish"):
            self._publish(query_id(batch), batch_id, emitted)
        with self._figures.phase(NAME, "states"):
            self._states.write(batch_id, after)
        self._tell(batch_id, results, after, Newest.of(one.newest for one in emitted))

    def _publish(self, epoch: str, batch_id: int, emitted: Sequence[Emitted]) -> None:
        now_us = self._publisher.now_us()
        markets = live_markets([row for part in emitted for row in part.rows], now_us, self._source)
        alerts = [raised(market, fired, now_us, self._source) for part in emitted for market, fired in part.fired]
        if markets.height or alerts:
            upserts = {"live_markets": markets} if markets.height else {}
            self._publisher.publish(NAME, epoch, batch_id, upserts, alerts=alerts)
        for alert in alerts:
            self._metrics.count_alert(alert.rule, alert.severity)
            log.info("alert", alert_id=alert.alert_id, query=NAME, batch_id=batch_id, severity=alert.severity)

    def _tell(self, batch_id: int, results: Sequence[Result], after: States, newest: Newest) -> None:
        news_of_states = f"{self._news_topic}/"
        markets = [state for name, state in after.partitions.items() if not name.startswith(news_of_states)]
        figures = StateFigures(
            records=sum(result.records for result in results),
            rows=sum(len(MARKETS.decode(state)) for state in markets),
            size=sum(map(len, after.partitions.values())),
            newest=newest,
        )
        self._figures.tell(NAME, batch_id, figures)


def live_markets(rows: Sequence[tuple[str, dict[str, Any]]], now_us: int, source: Source) -> pl.DataFrame:
    """Rows of the served table live_markets."""
    told = [{**row, **_market(market), "updated_at": now_us, "source": source} for market, row in rows]
    frame = pl.DataFrame(told, schema=_MARKET_SCHEMA)
    times = [column.name for column in LIVE_MARKETS.columns if column.type == "timestamp"]
    return frame.with_columns(pl.col(times).cast(TIME))


def _market(market: str) -> dict[str, str]:
    venue, _, symbol = market.partition(":")
    return {"venue": venue, "symbol": symbol}


def raised(market: str, fired: Fired, now_us: int, source: Source) -> Alert:
    """The alert of a rule that fired."""
    where = _market(market)
    origin = {"sim": "Simulated: ", "replay": "Replay: ", "live": ""}[source]
    return Alert(
        alert_id=alert_id(market, fired),
        rule=fired.rule,
        severity=fired.severity,
        venue=where["venue"],
        symbol=where["symbol"],
        window_start=fired.window_start,
        window_end=fired.window_end,
        raised_at=now_us,
        value=fired.value,
        threshold=fired.threshold,
        unit=fired.unit,
        message=f"{origin}{where['symbol']} {fired.text}",
        coverage_pct=fired.coverage_pct,
        completeness=fired.completeness,
        article_ids=tuple(fired.article_ids),
        evidence={"bar": fired.bar, "values": fired.values, "rule": fired.by},
        source=source,
    )
