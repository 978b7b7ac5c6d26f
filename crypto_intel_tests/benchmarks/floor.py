"""The floor of cost: one process, no engine. librdkafka -> Polars -> Delta by delta-rs, and PostgreSQL by COPY.

`python -m crypto_intel_tests.benchmarks.floor`, with the platform's settings in the environment. Incremental, as it
would run live: micro-batches, a watermark per partition, windows closed once it has passed them, bounded memory. What
it lacks is what an engine gives: state that survives a restart, output exactly once, more than one process, rejects,
bronze.
"""

from __future__ import annotations

import io
import time
from typing import Any

import polars as pl
import psycopg
from confluent_kafka import Consumer, TopicPartition
from deltalake import write_deltalake

from crypto_intel_tests.benchmarks.market import MINUTE_US
from crypto_intel_tests.benchmarks.measure import say
from crypto_intel_tests.benchmarks.product import newest_offsets
from crypto_intel_tests.benchmarks.truth import BARS, JOIN_US, PAIRS
from streaming.settings import StreamingSettings

TABLE = "bench_bars"
DELAY_US = MINUTE_US
_ROUND = 200_000  # messages between two commits
_TRADE = {
    "kind": pl.String, "symbol": pl.String, "trade_id": pl.Int64, "price": pl.String, "quantity": pl.String,
    "taker_side": pl.String, "event_time": pl.Int64,
}  # fmt: skip
_NEWS = {
    "kind": pl.String, "article_id": pl.String, "symbols": pl.List(pl.String), "published_at": pl.Int64,
    "title": pl.String, "sentiment": pl.Float64, "event_time": pl.Int64,
}  # fmt: skip
_CONSUMER = {
    "enable.auto.commit": False,
    "fetch.min.bytes": 1 << 20,
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 131_072,
    "queued.min.messages": 500_000,
}

Values = dict[int, list[bytes]]


def _parsed(values: list[bytes], schema: dict[str, Any]) -> pl.DataFrame:
    text = pl.Series("j", values, dtype=pl.Binary).cast(pl.String)
    return text.str.json_decode(pl.Struct(schema)).struct.unnest()


class Job:
    """What is open, what later records may still pair with, and how far each partition has come."""

    def __init__(self, lake: str, connection: psycopg.Connection, partitions: int) -> None:
        self._lake = lake
        self._connection = connection
        self._partitions = partitions
        self._open: pl.DataFrame | None = None
        self._bars: pl.DataFrame | None = None
        self._news: pl.DataFrame | None = None
        self._marks: dict[tuple[str, int], int] = {}
        self._closed_us = 0

    def feed(self, trades: Values, news: Values) -> None:
        """Take the values of each partition and write what became final."""
        self._open = _joined(self._open, *(self._trades(number, values) for number, values in trades.items()))
        articles = _joined(None, *(self._articles(number, values) for number, values in news.items()))
        self._write(self._close(), articles)

    def _trades(self, number: int, values: list[bytes]) -> pl.DataFrame:
        rows = _parsed(values, _TRADE)
        self._mark("trades", number, rows["event_time"])
        window = pl.col("event_time") - pl.col("event_time") % MINUTE_US
        return (
            rows.filter(pl.col("kind") == "trade")
            .select(
                "symbol", "trade_id", pl.col("price", "quantity").cast(pl.Float64), window.alias("window_start"),
                is_buy=pl.col("taker_side") == "buy",
            )
            .filter(pl.col("window_start") + MINUTE_US > self._closed_us)
        )  # fmt: skip

    def _articles(self, number: int, values: list[bytes]) -> pl.DataFrame:
        rows = _parsed(values, _NEWS)
        self._mark("news", number, rows["published_at"].fill_null(rows["event_time"]))
        named = rows.filter(pl.col("kind") == "article").explode("symbols")
        return named.select(pl.format("{}-USDT", "symbols").alias("symbol"), "article_id", *PAIRS[3:])

    def _mark(self, topic: str, number: int, times: pl.Series) -> None:
        self._marks[topic, number] = max(self._marks.get((topic, number), 0), int(times.max() or 0))  # type: ignore[arg-type]

    def _close(self) -> pl.DataFrame | None:
        marks = [mark for (topic, _), mark in self._marks.items() if topic == "trades"]
        if len(marks) < self._partitions or self._open is None:
            return None
        edge = min(marks) - DELAY_US
        is_done = pl.col("window_start") + MINUTE_US <= edge
        # A trade sent twice falls into one window: both are open, or the second is late.
        done = self._open.filter(is_done).unique(["symbol", "trade_id"], keep="first")
        self._open, self._closed_us = self._open.filter(~is_done), edge - edge % MINUTE_US
        return _folded(done)

    def _write(self, bars: pl.DataFrame | None, news: pl.DataFrame | None) -> None:
        """New bars meet all news held, bars held meet new news: each pair once."""
        met = ((bars, self._news), (self._bars, news), (bars, news))
        pairs = [_paired(some, others) for some, others in met if some is not None and others is not None]
        if bars is not None and bars.height:
            write_deltalake(f"{self._lake}/bars", bars.to_arrow(), mode="append")
            self._upsert(bars)
        if pairs and (found := pl.concat(pairs)).height:
            write_deltalake(f"{self._lake}/pairs", found.to_arrow(), mode="append")
        self._bars, self._news = _joined(self._bars, bars), _joined(self._news, news)
        if len(self._marks) == 2 * self._partitions:
            oldest = min(self._marks.values()) - DELAY_US - 2 * JOIN_US
            self._bars = None if self._bars is None else self._bars.filter(pl.col("window_start") >= oldest)
            self._news = None if self._news is None else self._news.filter(pl.col("published_at") >= oldest)

    def _upsert(self, bars: pl.DataFrame) -> None:
        names = ",".join(BARS)
        content = io.BytesIO()
        bars.write_csv(content, include_header=False)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE stage (LIKE {TABLE}) ON COMMIT DROP")
            with cursor.copy(f"COPY stage ({names}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(content.getvalue())
            updates = ",".join(f"{name}=EXCLUDED.{name}" for name in BARS[2:])
            cursor.execute(
                f"INSERT INTO {TABLE} ({names}) SELECT {names} FROM stage "
                f"ON CONFLICT (symbol, window_start) DO UPDATE SET {updates}"
            )


def _joined(held: pl.DataFrame | None, *new: pl.DataFrame | None) -> pl.DataFrame | None:
    parts = [part for part in (held, *new) if part is not None]
    return pl.concat(parts) if parts else None


def _folded(trades: pl.DataFrame) -> pl.DataFrame:
    quote = (pl.col("price") * pl.col("quantity")).sum()
    return (
        trades.sort("symbol", "trade_id")
        .group_by("symbol", "window_start", maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            trade_count=pl.len().cast(pl.Int64),
            first_trade_id=pl.col("trade_id").min(),
            last_trade_id=pl.col("trade_id").max(),
            volume_base=pl.col("quantity").sum(),
            volume_quote=quote,
            buy_volume_base=pl.col("quantity").filter("is_buy").sum(),
            vwap=quote / pl.col("quantity").sum(),
        )
        .select(BARS)
    )


def _paired(bars: pl.DataFrame, news: pl.DataFrame) -> pl.DataFrame:
    near = (pl.col("published_at") - (pl.col("window_start") + MINUTE_US)).abs() <= JOIN_US
    return bars.join(news, on="symbol").filter(near).select(PAIRS)


def create_table(connection: psycopg.Connection) -> None:
    """The table that bars are upserted into."""
    types = {
        "symbol": "text",
        **dict.fromkeys(("window_start", "trade_count", "first_trade_id", "last_trade_id"), "int8"),
    }
    columns = ", ".join(f"{name} {types.get(name, 'float8')}" for name in BARS)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns}, PRIMARY KEY (symbol, window_start))")


def main() -> None:
    """Run over the backlog and leave."""
    settings = StreamingSettings()
    assert settings.postgres_dsn
    connection = psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True)
    create_table(connection)
    consumer = Consumer({**settings.kafka.client_config(), **_CONSUMER, "group.id": f"floor-{time.time_ns()}"})
    say("ready", output="Delta")
    topics = {settings.topics.trades: 0, settings.topics.news: 1}
    ends = {name: last for name, last in newest_offsets(settings).items() if name.rpartition("/")[0] in topics}
    places = [name.rpartition("/") for name in ends]
    consumer.assign([TopicPartition(topic, int(number), 0) for topic, _, number in places])
    job, at = Job(settings.lake_root, connection, len(ends) // 2), dict.fromkeys(ends, -1)
    while any(at[name] < ends[name] for name in ends):
        job.feed(*_round(consumer, topics, at, ends))
    consumer.close()
    say("done")


def _round(
    consumer: Consumer, topics: dict[str, int], at: dict[str, int], ends: dict[str, int]
) -> tuple[Values, Values]:
    found: tuple[Values, Values] = ({}, {})
    count = 0
    while count < _ROUND and any(at[name] < ends[name] for name in ends):
        for message in consumer.consume(50_000, 0.1):
            if message.error() or message.key() is None:
                raise SystemExit(f"{message.error()}")
            topic, number = str(message.topic()), int(message.partition() or 0)
            found[topics[topic]].setdefault(number, []).append(message.value() or b"")
            at[f"{topic}/{number}"] = int(message.offset() or 0)
            count += 1
    return found


if __name__ == "__main__":
    main()
