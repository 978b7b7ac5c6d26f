"""The lake as a stream: versions are its offsets, and each row comes in one batch whatever compaction does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.events import HEARTBEAT_KEY
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, SILVER_BARS_1M
from streaming.jobs.lake_source import ROWS, LakeReader, LakeSource
from streaming.sinks.delta import Lake, ensure_table
from streaming.transforms.frames import schema_of

AT = datetime(2025, 1, 1, tzinfo=UTC)
TOPIC = "news_topic"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with the tables that the join reads."""
    for table in (SILVER_BARS_1M, BRONZE_NEWS, BRONZE_FEED_STATUS):
        ensure_table(table, str(tmp_path))
    return Lake(str(tmp_path))


def reader(lake: Lake, rows: str) -> LakeReader:
    """As Spark makes it."""
    return LakeSource({"lake": lake.root, "rows": rows, "topic": TOPIC}).streamReader(None)


PLAIN: dict[str, Any] = {"double": 0.0, "bigint": 0, "int": 0, "string": "", "timestamp": AT, "date": AT.date()}
"""What columns hold that matter to nobody here."""


def put(lake: Lake, table: Table, batch_id: int, **values: Any) -> None:
    """Append one row."""
    plain = {column.name: PLAIN.get(column.type) for column in table.columns if not column.nullable}
    row = pl.DataFrame([{**plain, **values}], schema=schema_of(table))
    lake.append(row, table, application="test", batch_id=batch_id)


def bar(lake: Lake, minute: int) -> None:
    """Append a bar."""
    start = AT + timedelta(minutes=minute)
    end = start + timedelta(minutes=1)
    put(
        lake,
        SILVER_BARS_1M,
        minute,
        venue="binance",
        symbol="BTC-USDT",
        window_start=start,
        window_end=end,
        close=1.0 + minute,
    )


def between(source: LakeReader, start: dict[str, int], end: dict[str, int]) -> list[dict[str, Any]]:
    """The rows of a batch."""
    (partition,) = source.partitions(start, end)
    return [row for batch in source.read(partition) for row in batch.to_pylist()]


def test_each_row_comes_in_the_batch_of_its_version(lake: Lake) -> None:
    source = reader(lake, "bars")
    offsets = [source.initialOffset()]
    found = []
    for minute in range(3):
        bar(lake, minute)
        offsets.append(source.latestOffset())
        found.append([row["close"] for row in between(source, *offsets[-2:])])
    assert found == [[1.0], [2.0], [3.0]]
    assert sorted(row["close"] for row in between(source, offsets[0], offsets[-1])) == [1.0, 2.0, 3.0]
    assert between(source, offsets[-1], offsets[-1]) == []


def test_a_bar_has_its_base_asset_and_the_schema_that_was_told(lake: Lake) -> None:
    bar(lake, 0)
    source = reader(lake, "bars")
    (row,) = between(source, source.initialOffset(), source.latestOffset())
    assert row["base"] == "BTC"
    assert list(row) == [field.split()[0] for field in ROWS["bars"].schema.split(", ")]


def test_compaction_is_no_news(lake: Lake) -> None:
    for minute in range(3):
        bar(lake, minute)
    source = reader(lake, "bars")
    before = source.latestOffset()
    from deltalake import DeltaTable

    DeltaTable(SILVER_BARS_1M.path(lake.root)).optimize.compact()
    after = source.latestOffset()
    assert after != before
    assert between(source, before, after) == []
    assert len(between(source, source.initialOffset(), after)) == 3


def test_news_comes_by_asset_with_the_heartbeats_of_its_topic_alone(lake: Lake) -> None:
    article = {"article_id": "a", "title": "t", "source": "s", "published_at": AT, "first_seen_at": AT}
    put(lake, BRONZE_NEWS, 0, **article, symbols=["BTC", "ETH"], cluster_id=None)
    put(lake, BRONZE_NEWS, 1, **{**article, "article_id": "b"}, symbols=[], cluster_id=None)
    for number, topic in enumerate((TOPIC, "trades_topic")):
        beat = {"status": "heartbeat", "kafka_topic": topic, "kafka_partition": 0, "kafka_offset": number}
        put(lake, BRONZE_FEED_STATUS, number, **beat, event_time=AT, received_at=AT)
    source = reader(lake, "news")
    rows = between(source, source.initialOffset(), source.latestOffset())
    assert sorted(row["asset"] for row in rows) == sorted(["BTC", "ETH", HEARTBEAT_KEY])


def test_heartbeats_are_looked_up_before_the_news_that_they_vouch_for(lake: Lake) -> None:
    assert list(reader(lake, "news").initialOffset()) == ["bronze/feed_status", "bronze/news"]
