"""The newest progress of each query."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from crypto_intel_tests.chaos.postgres import slow_commits
from crypto_intel_tests.streaming.sinks.conftest import Rows
from streaming.errors import RetryableError
from streaming.sinks.progress import ProgressRelay, ProgressRow, ProgressSink

REPORT = ProgressRow(
    query="ingest",
    batch_id=4,
    input_rows=10,
    rows_per_second=5.5,
    batch_ms=1800,
    end_offsets={"trades_topic": {"0": 10}},
    lag_records=3,
    watermark=datetime(2026, 11, 20, tzinfo=UTC),
    event_time_delay_s=1.25,
    state_rows=2,
    state_bytes=1000,
    late_rows=1,
    run_id="6f2c0a52-6d8e-4c43-9d5a-3f6e8a3b9a10",
)


@pytest.mark.stack
def test_the_newest_report_stands_and_records_are_counted_once(own_postgres_dsn: str, rows: Rows) -> None:
    sink = ProgressSink(SecretStr(own_postgres_dsn))
    for report in (REPORT, REPORT, replace(REPORT, batch_id=5, input_rows=7, lag_records=None)):
        sink.write(report)
    (row,) = rows("SELECT * FROM ops.stream_progress")
    assert (row["batch_id"], row["input_rows"], row["rows_total"], row["lag_records"]) == (5, 7, 17, None)
    assert row["end_offsets"] == REPORT.end_offsets
    assert (row["watermark"], str(row["run_id"])) == (REPORT.watermark, REPORT.run_id)


@pytest.mark.stack
def test_where_a_query_stands_is_told_only_if_its_last_batch_was_not(own_postgres_dsn: str, rows: Rows) -> None:
    sink = ProgressSink(SecretStr(own_postgres_dsn))
    standing = replace(REPORT, input_rows=0, lag_records=None, is_standing=True)
    sink.write(REPORT)
    sink.write(standing)
    assert rows("SELECT input_rows, rows_total FROM ops.stream_progress")[0] == {"input_rows": 10, "rows_total": 10}
    sink.write(replace(standing, batch_id=5))
    assert rows("SELECT batch_id, rows_total FROM ops.stream_progress")[0] == {"batch_id": 5, "rows_total": 10}
    sink.write(replace(standing, batch_id=-1, end_offsets={}))
    assert rows("SELECT batch_id, end_offsets FROM ops.stream_progress")[0] == {"batch_id": -1, "end_offsets": {}}


@pytest.mark.stack
def test_reports_do_not_wait_for_slow_commits_and_all_of_them_count(own_postgres_dsn: str, rows: Rows) -> None:
    relay = ProgressRelay(ProgressSink(SecretStr(own_postgres_dsn)))
    with slow_commits(own_postgres_dsn, 1):
        for batch_id in range(50):
            relay.tell(replace(REPORT, batch_id=batch_id, input_rows=1))
        assert not relay.flush(0)  # all are told, and the first is still being stored
        assert relay.flush(30)
    assert rows("SELECT batch_id, rows_total FROM ops.stream_progress") == [{"batch_id": 49, "rows_total": 50}]


def test_without_a_database_nothing_is_stored_and_one_that_is_away_is_told() -> None:
    ProgressSink(None).write(REPORT)
    with pytest.raises(RetryableError):
        ProgressSink(SecretStr("host=127.0.0.1 port=9")).write(REPORT)
