"""Reads what each hop holds, for the audit (crypto_intel/core/audit.py). Reads only.

Order matters on a platform that runs. Within one reading, what was derived is read before what it derives from, so that
a row's source is always there to be found; Kafka's end is read before bronze, which is waited for up to that end. Two
readings make the facts of a running platform: what stood in a hop at the first is owed to the next hop at the second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import redis
from confluent_kafka import Consumer, TopicPartition
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pydantic import SecretStr

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.events import GAP_STATUSES
from crypto_intel.contracts.settings import Kafka, Settings, Topics
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    BRONZE_QUOTES,
    BRONZE_REJECTED,
    BRONZE_TRADES,
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_LATE_ARRIVALS,
    SILVER_PRICE_MEANS_5M,
    SILVER_TRADES,
)
from crypto_intel.core.audit_facts import LEDGER_SCHEMA, Facts
from crypto_intel.core.gaps import fold
from streaming.simulator.ledger import Account, read_account
from streaming.transforms.frames import MARKET

BRONZE = (BRONZE_TRADES, BRONZE_QUOTES, BRONZE_NEWS, BRONZE_FEED_STATUS, BRONZE_REJECTED)
_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Endpoints:
    """Where the hops are."""

    lake: str
    kafka: Kafka
    topics: Topics
    postgres_dsn: SecretStr | None
    redis_url: SecretStr | None
    ledger: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Endpoints:
        """From the settings that every part reads."""
        ledger = settings.data_dir / "run" / "source_ledger.json"
        return cls(
            settings.lake_root,
            settings.kafka,
            settings.topics,
            settings.postgres_dsn,
            settings.redis_url,
            ledger if ledger.exists() else None,
        )


def read_facts(at: Endpoints, *, within_s: float, is_stopped: bool = False) -> Facts:
    """Read every hop: twice where the platform runs, with time between for what is on its way.

    Args:
        within_s: how long to wait for bronze to reach Kafka's end as it is now, and for PostgreSQL to reach the lake.
        is_stopped: nothing runs, so what waits is no loss.

    Raises:
        KafkaException, psycopg.Error: a store does not answer; what can not be read can not be verified.
    """
    if is_stopped:
        return replace(_read(at, bronze_within_s=0), is_stopped=True)
    before = _read(at, bronze_within_s=0)
    _wait_for_bronze(at, before.kafka, within_s)
    _wait_for_postgres(at, before.bars_1m, within_s)
    return replace(_read(at, bronze_within_s=within_s), before=before)


def _read(at: Endpoints, *, bronze_within_s: float) -> Facts:
    cached = _cached(at.redis_url)
    served_gaps = _served_gaps(at.postgres_dsn)
    served_bars, served_enriched = _served(at.postgres_dsn)
    gold_enriched = _rows(at, GOLD_MARKET_ENRICHED, "window_start", "trade_count", "event_hour")
    gold_bars = _rows(at, GOLD_BARS_1M, "window_start", "trade_count", "close", "event_hour")
    repaired_bars = _rows(at, GOLD_REPAIRED_BARS_1M, "window_start", "trade_count", "close")
    silver_trades = _rows(at, SILVER_TRADES, "trade_id", "event_hour")
    price_means = _rows(at, SILVER_PRICE_MEANS_5M, "window_start", "trade_count")
    bars_5m = _rows(at, SILVER_BARS_5M, "window_start", "trade_count", "close")
    bars_1m = _rows(at, SILVER_BARS_1M, "window_start", "trade_count", "close")
    kafka = watermarks(at.kafka, at.topics.ingested)
    bronze = _wait_for_bronze(at, kafka, bronze_within_s)
    statuses = _scan(at, BRONZE_FEED_STATUS).filter(pl.col("status").is_in(GAP_STATUSES)).collect()
    account = read_account(at.ledger) if at.ledger else None
    return Facts(
        kafka=kafka,
        bronze_offsets=bronze,
        trades=_rows(at, BRONZE_TRADES, "trade_id", "event_time"),
        bars_1m=bars_1m,
        bars_5m=bars_5m,
        price_means=price_means,
        late=_rows(at, SILVER_LATE_ARRIVALS, "window_start", "trade_count"),
        silver_trades=silver_trades,
        repaired_bars=repaired_bars,
        gold_bars=gold_bars,
        gold_enriched=gold_enriched,
        served_bars=served_bars,
        served_enriched=served_enriched,
        cached=cached,
        gaps=_gaps(statuses),
        gap_ledger=fold(statuses).select(MARKET, *list(LEDGER_SCHEMA)[1:]),
        served_gaps=served_gaps,
        rejected=_rejected(at),
        sent=_sent(account),
        unnumbered=_unnumbered(account),
        injected=_rejectable(account),
    )


def watermarks(kafka: Kafka, topics: list[str]) -> pl.DataFrame:
    """topic, partition, low, high of every partition; high is the next offset."""
    consumer = Consumer({**kafka.client_config(), "group.id": "crypto-intel-verify", "enable.auto.commit": False})
    try:
        known = consumer.list_topics(timeout=10).topics
        rows = [
            (topic, partition, *consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10))
            for topic in topics
            if topic in known
            for partition in sorted(known[topic].partitions)
        ]
    finally:
        consumer.close()
    schema = {"topic": pl.String, "partition": pl.Int32, "low": pl.Int64, "high": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _scan(at: Endpoints, table: Table) -> pl.LazyFrame:
    try:
        return pl.scan_delta(DeltaTable(table.path(at.lake)))
    except TableNotFoundError:
        return pl.from_arrow(table.arrow_schema().empty_table()).lazy()  # type: ignore[union-attr]


def _rows(at: Endpoints, table: Table, *columns: str) -> pl.DataFrame:
    return _scan(at, table).select(MARKET, *columns).collect()


def _wait_for_bronze(at: Endpoints, kafka: pl.DataFrame, within_s: float) -> pl.DataFrame:
    deadline = time.monotonic() + within_s
    while True:
        bronze = _bronze_offsets(at, kafka)
        behind = kafka.join(bronze, on=["topic", "partition"], how="left").filter(
            (pl.col("high") > pl.col("low")) & (pl.col("newest").fill_null(-1) < pl.col("high") - 1)
        )
        if behind.is_empty() or time.monotonic() > deadline:
            return bronze
        time.sleep(1)


def _wait_for_postgres(at: Endpoints, bars: pl.DataFrame, within_s: float) -> None:
    if at.postgres_dsn is None:
        return
    newest = bars.group_by("market").agg(pl.col("window_start").max())
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        served, _ = _served(at.postgres_dsn)
        if served is None or newest.join(served, on=["market", "window_start"], how="anti").is_empty():
            return
        time.sleep(1)


def _bronze_offsets(at: Endpoints, kafka: pl.DataFrame) -> pl.DataFrame:
    key = ["topic", "partition"]
    records = pl.concat(
        [
            _scan(at, table).select(topic="kafka_topic", partition="kafka_partition", offset="kafka_offset")
            for table in BRONZE
        ]
    )
    within = records.join(kafka.lazy(), on=key).filter(pl.col("offset").is_between("low", "high", closed="left"))
    return (
        within.group_by(key)
        .agg(rows=pl.len().cast(pl.Int64), distinct=pl.col("offset").n_unique().cast(pl.Int64), newest=pl.max("offset"))
        .collect()
    )


def _served(dsn: SecretStr | None) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    if dsn is None:
        return None, None
    with psycopg.connect(dsn.get_secret_value(), connect_timeout=10) as connection:
        bars = connection.execute(
            "SELECT venue || ':' || symbol, window_start, trade_count, close FROM public.bars_1m"
        ).fetchall()
        enriched = connection.execute(
            "SELECT venue || ':' || symbol, window_start, trade_count, is_final FROM public.market_enriched"
        ).fetchall()
    key: dict[str, Any] = {"market": pl.String, "window_start": _TIME, "trade_count": pl.Int64}
    return (
        pl.DataFrame(bars, schema={**key, "close": pl.Float64}, orient="row"),
        pl.DataFrame(enriched, schema={**key, "is_final": pl.Boolean}, orient="row"),
    )


def _cached(url: SecretStr | None) -> pl.DataFrame | None:
    # None: the cache is optional, and one that is away is rebuilt when it is back.
    if url is None:
        return None
    client = redis.Redis.from_url(url.get_secret_value(), decode_responses=True, socket_connect_timeout=1)
    try:
        found = [
            (key.removeprefix("bar:1m:"), client.hget(key, "window_start")) for key in client.scan_iter("bar:1m:*")
        ]
    except redis.RedisError:
        return None
    finally:
        client.close()
    frame = pl.DataFrame(found, schema={"market": pl.String, "window_start": pl.String}, orient="row")
    return frame.with_columns(pl.col("window_start").str.to_datetime(time_unit="us", time_zone="UTC"))


def _served_gaps(dsn: SecretStr | None) -> pl.DataFrame | None:
    if dsn is None:
        return None
    with psycopg.connect(dsn.get_secret_value(), connect_timeout=10) as connection:
        rows = connection.execute(
            "SELECT venue || ':' || symbol, first_id, last_id, state, repaired_count FROM public.gaps"
        ).fetchall()
    return pl.DataFrame(rows, schema=LEDGER_SCHEMA, orient="row")


def _gaps(statuses: pl.DataFrame) -> pl.DataFrame:
    # From the lake, which has them whatever became of PostgreSQL.
    state = pl.col("status").replace("gap", "open").alias("state")
    return (
        statuses.filter(pl.col("first_id") <= pl.col("last_id")).select(MARKET, "first_id", "last_id", state).unique()
    )


def _rejected(at: Endpoints) -> pl.DataFrame:
    counted = _scan(at, BRONZE_REJECTED).group_by("stage", "reason").agg(records=pl.len().cast(pl.Int64))
    return counted.collect()


def _sent(account: Account | None) -> pl.DataFrame | None:
    if account is None:
        return None
    rows = [(market, first, last) for market, own in account.markets.items() for first, last in own.intervals]
    schema = {"market": pl.String, "first_id": pl.Int64, "last_id": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _unnumbered(account: Account | None) -> pl.DataFrame | None:
    if account is None:
        return None
    rows = [(market, own.unnumbered) for market, own in account.markets.items() if own.unnumbered]
    return pl.DataFrame(rows, schema={"market": pl.String, "trades": pl.Int64}, orient="row")


def _rejectable(account: Account | None) -> int | None:
    # Faults whose frames must end in the dead letters; cuts, gaps and repeats leave no frame to reject.
    if account is None:
        return None
    return sum(account.injected.get(kind, 0) for kind in ("malformed", "future"))
