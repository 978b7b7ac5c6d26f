"""The lake and what stands beside it on an object store: whole, once, and nothing lost to a second writer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.tables import BRONZE_TRADES, SILVER_LATE_ARRIVALS
from crypto_intel.stack.jars import Jars
from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.helpers.s3 import make_bucket, s3_server
from streaming.errors import FatalError
from streaming.jobs.standing import last_batch
from streaming.sinks import objects
from streaming.sinks.delta import COMPACT_AFTER, Lake, ensure_table
from streaming.sinks.states import StateFiles, States
from streaming.transforms.frames import rows_of

pytestmark = pytest.mark.stack
TABLE = SILVER_LATE_ARRIVALS
START = 1_735_689_600_000_000


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Of a process that uses the server; this one does."""
    with s3_server() as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.items():
            patch.setenv(name, value)
        objects._store.cache_clear()
        yield found
    objects._store.cache_clear()


@pytest.fixture
def bucket(environment: dict[str, str]) -> str:
    """An empty one."""
    return make_bucket(environment, f"lake-{uuid.uuid4().hex[:8]}")


def row(trade_id: int) -> pl.DataFrame:
    """A row of the table."""
    market = {"venue": "binance", "symbol": "BTC-USDT", "window_start": START, "trade_count": 1}
    return rows_of([{**market, "first_trade_id": trade_id, "last_trade_id": trade_id}], TABLE)


def ids(lake: Lake) -> list[int]:
    """Of every row."""
    return sorted(lake.read(TABLE).collect()["first_trade_id"])


def test_an_object_is_written_replaced_read_and_removed(bucket: str) -> None:
    path = f"{bucket}/checkpoints/ingest/states/1.states"
    assert objects.get(path) is None
    objects.put(path, b"one")
    objects.put(path, b"another")
    assert objects.get(path) == b"another"
    objects.remove(path)
    objects.remove(path)
    assert objects.get(path) is None


def test_a_folder_names_the_objects_right_in_it(bucket: str) -> None:
    assert objects.names(f"{bucket}/checkpoints/ingest/commits") == []
    for number in range(3):
        objects.put(f"{bucket}/checkpoints/ingest/commits/{number}", b"v1")
    objects.put(f"{bucket}/checkpoints/ingest/commits/deeper/7", b"v1")
    objects.put(f"{bucket}/checkpoints/ingest/commits.aside", b"v1")
    assert sorted(objects.names(f"{bucket}/checkpoints/ingest/commits")) == ["0", "1", "2"]
    assert last_batch(f"{bucket}/checkpoints/ingest") == 2


def test_states_are_whole_or_refused(bucket: str) -> None:
    files = StateFiles(f"{bucket}/checkpoints/live/states", {})
    files.write(0, States(ends={"trades_topic/0": 7}, partitions={"trades_topic/0": b"state"}))
    found = files.before(1)
    assert found is not None
    assert (found.ends, found.partitions) == ({"trades_topic/0": 7}, {"trades_topic/0": b"state"})
    objects.put(f"{bucket}/checkpoints/live/states/0.states", b"\0" * 64)
    with pytest.raises(FatalError, match="damaged"):
        files.before(1)


def test_a_batch_is_committed_once_and_read_by_its_versions(bucket: str) -> None:
    ensure_table(TABLE, bucket)
    lake = Lake(bucket)
    for batch_id in (0, 1, 1, 2):
        lake.append(row(batch_id), TABLE, application="ingest", batch_id=batch_id)
    assert (ids(lake), lake.version(TABLE)) == ([0, 1, 2], 3)
    assert lake.added(TABLE, 1, 3).collect()["first_trade_id"].to_list() == [1, 2]


def test_compaction_makes_one_file_and_no_news(bucket: str) -> None:
    ensure_table(TABLE, bucket)
    lake = Lake(bucket)
    for batch_id in range(COMPACT_AFTER):
        lake.append(row(batch_id), TABLE, application="ingest", batch_id=batch_id)
    lake.compact()
    assert (ids(lake), lake.version(TABLE)) == (list(range(COMPACT_AFTER)), COMPACT_AFTER + 1)
    assert lake.added(TABLE, COMPACT_AFTER, COMPACT_AFTER + 1).collect().height == 0


def test_writers_that_commit_at_once_lose_nothing(bucket: str) -> None:
    ensure_table(TABLE, bucket)

    def write(writer: int) -> None:
        lake = Lake(bucket)
        for batch_id in range(10):
            lake.append(row(10 * writer + batch_id), TABLE, application=f"writer-{writer}", batch_id=batch_id)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    assert ids(Lake(bucket)) == list(range(30))


def test_the_application_writes_its_lake_there(
    *,
    environment: dict[str, str],
    bucket: str,
    kafka_bootstrap: str,
    own_topics: Topics,
    tmp_path: Path,
    java_home: Path,
    jars: Jars,
) -> None:
    extra = {**environment, "CRYPTO_INTEL_LAKE": f"{bucket}/lake"}
    application = Application(tmp_path, kafka_bootstrap, own_topics, java_home, jars, ("ingest",), extra)
    load, sender = Load(own_topics, minutes=5, trades_per_minute=300), Sender(kafka_bootstrap)
    sender.send(load.records)
    lake = Lake(f"{bucket}/lake")
    application.start()
    try:
        application.wait_for(lambda: _count(lake) == _sent(sender, own_topics), 120)
        assert application.stop() == 0
    finally:
        application.kill()
    trades = lake.read(BRONZE_TRADES).select("venue", "symbol", "trade_id").unique().collect()
    assert trades.height == len({(t.venue, t.symbol, t.trade_id) for t in load.trades})


def _sent(sender: Sender, topics: Topics) -> int:
    values = (value for (topic, _, _), value in sender.acked.items() if topic == topics.trades)
    return sum(b'"kind":"heartbeat"' not in value for value in values)


def _count(lake: Lake) -> int:
    try:
        return int(lake.read(BRONZE_TRADES).select(pl.len()).collect().item())
    except Exception:
        return 0
