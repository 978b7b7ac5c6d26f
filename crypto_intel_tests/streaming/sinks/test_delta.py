"""Commits to the lake: each batch once, files seen by nobody before, and what compaction moves is no news."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from crypto_intel.contracts.tables import SILVER_LATE_ARRIVALS, TABLES
from crypto_intel_tests.chaos.aged import aged
from streaming.errors import FatalError
from streaming.jobs.app import QUERIES, written_by
from streaming.sinks import delta
from streaming.sinks.delta import Lake, ensure_table, kept_files, single_writer, write_files
from streaming.transforms.frames import rows_of

AT = int(datetime(2025, 1, 1, 23, 58, tzinfo=UTC).timestamp() * 1e6)
TABLE = SILVER_LATE_ARRIVALS


def rows(first: int, count: int = 3) -> pl.DataFrame:
    """Late arrivals, a minute apart: the third one is of the next day."""
    made: list[dict[str, Any]] = [
        {
            **{"venue": "binance", "symbol": "BTC-USDT", "window_start": AT + i * 60_000_000},
            **{"trade_count": 1, "first_trade_id": first + i, "last_trade_id": first + i},
        }
        for i in range(count)
    ]
    return rows_of(made, TABLE)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with the empty table."""
    ensure_table(TABLE, str(tmp_path))
    return Lake(str(tmp_path))


def ids(lake: Lake) -> list[int]:
    """What a reader of the table finds."""
    return sorted(lake.read(TABLE).collect()["first_trade_id"].to_list())


def test_a_batch_that_comes_again_changes_nothing(lake: Lake) -> None:
    for _ in range(2):
        lake.append(rows(1), TABLE, application="query", batch_id=0)
    lake.append(rows(4), TABLE, application="query", batch_id=1)
    lake.append(rows(1), TABLE, application="query", batch_id=0)
    assert ids(lake) == [1, 2, 3, 4, 5, 6]


def test_another_process_that_repeats_the_batch_changes_nothing_either(lake: Lake) -> None:
    lake.append(rows(1), TABLE, application="query", batch_id=0)
    Lake(lake.root).append(rows(1), TABLE, application="query", batch_id=0)
    assert ids(lake) == [1, 2, 3]


def test_files_without_a_commit_are_seen_by_nobody(lake: Lake) -> None:
    files = write_files(rows(1), TABLE, lake.root)
    assert ids(lake) == []
    lake.commit(TABLE, files, application="query", batch_id=0)
    assert ids(lake) == [1, 2, 3]
    assert {file.partition["event_date"] for file in files} == {"2025-01-01", "2025-01-02"}


def test_statistics_in_the_log_are_those_of_the_rows(lake: Lake) -> None:
    lake.append(rows(7, count=2), TABLE, application="query", batch_id=0)
    told = pl.DataFrame(DeltaTable(TABLE.path(lake.root)).get_add_actions(flatten=True)).row(0, named=True)
    assert (told["num_records"], told["min.first_trade_id"], told["max.first_trade_id"]) == (2, 7, 8)
    start = datetime.fromtimestamp(AT / 1e6, UTC)
    assert (told["min.window_start"], told["max.window_start"]) == (start, start + timedelta(minutes=1))
    assert lake.read(TABLE).filter(pl.col("window_start") == start + timedelta(minutes=1)).collect().height == 1


def test_rows_added_between_versions_leave_out_what_compaction_moved(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "COMPACT_AFTER", 3)
    for batch in range(3):
        lake.append(rows(10 * batch, count=1), TABLE, application="query", batch_id=batch)
    before = lake.version(TABLE)
    lake.compact()
    assert lake.version(TABLE) == before + 1
    assert DeltaTable(TABLE.path(lake.root)).get_add_actions().num_rows == 1
    lake.append(rows(99, count=1), TABLE, application="query", batch_id=3)
    assert lake.added(TABLE, before, lake.version(TABLE)).collect()["first_trade_id"].to_list() == [99]
    everything = lake.added(TABLE, -1, lake.version(TABLE)).collect()
    assert_frame_equal(everything.sort("first_trade_id"), lake.read(TABLE).collect().sort("first_trade_id"))


def test_an_application_that_is_started_again_and_again_compacts_all_the_same(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "COMPACT_AFTER", 3)
    for batch in range(3):
        restarted = Lake(lake.root)
        restarted.append(rows(10 * batch, count=1), TABLE, application="query", batch_id=batch)
        restarted.compact()
    assert DeltaTable(TABLE.path(lake.root)).get_add_actions().num_rows == 1
    assert ids(lake) == [0, 10, 20]


def test_files_that_no_version_of_seven_days_has_are_deleted_when_a_table_is_compacted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "COMPACT_AFTER", 3)
    for batch in range(3):
        lake.append(rows(10 * batch, count=1), TABLE, application="query", batch_id=batch)
    lake.compact()
    due = aged(TABLE.path(lake.root), 8)
    assert len(due) == 4
    assert all(path.exists() for path in due)
    restarted = Lake(lake.root)
    for batch in range(3, 6):
        restarted.append(rows(10 * batch, count=1), TABLE, application="query", batch_id=batch)
    before = restarted.version(TABLE)
    restarted.compact()
    assert not [path for path in due if path.exists()]
    assert restarted.read(TABLE, before).collect().height == 6
    assert ids(restarted) == [0, 10, 20, 30, 40, 50]
    with pytest.raises(FatalError, match="start it from a new checkpoint"), kept_files([TABLE.full_name]):
        restarted.added(TABLE, 0, 3).collect()


def test_versions_whose_log_is_gone_are_a_loud_error(lake: Lake) -> None:
    lake.append(rows(1), TABLE, application="query", batch_id=0)
    (Path(TABLE.path(lake.root)) / "_delta_log" / f"{1:020d}.json").unlink()
    with pytest.raises(FatalError, match="no longer in its log"):
        lake.added(TABLE, 0, 1)


def test_a_second_application_is_refused(tmp_path: Path) -> None:
    with (
        single_writer([TABLE], str(tmp_path)),
        pytest.raises(FatalError, match=r"another process writes silver\.late_arrivals"),
        single_writer([TABLE], str(tmp_path)),
    ):
        pass


def test_queries_in_processes_of_their_own_hold_the_tables_that_they_write() -> None:
    both = [written_by([name]) for name in ("ingest", "bar_news")]
    assert {table.full_name for table in both[1]} == {"silver.bar_news"}
    assert not set(both[0]) & set(both[1])
    assert set(written_by(list(QUERIES))) == {table for table in TABLES.values() if table.writer == "spark"}
    assert written_by(["live", "publish"]) == []


def test_processes_may_make_a_table_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ensure_table(TABLE, str(tmp_path)), range(16)))
    assert ids(Lake(str(tmp_path))) == []


def test_a_table_of_an_earlier_version_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    earlier = replace(TABLE, columns=tuple(column for column in TABLE.columns if column.name != "last_trade_id"))
    ensure_table(earlier, str(tmp_path))
    with pytest.raises(FatalError, match=r"silver\.late_arrivals is of an earlier version and lacks last_trade_id"):
        ensure_table(TABLE, str(tmp_path))
