"""Where a query stands is read from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming.jobs.progress import standing_row
from streaming.jobs.standing import last_batch, read_to

RUN = "6f2c0a52-6d8e-4c43-9d5a-3f6e8a3b9a10"


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """Batches 0 to 10 are committed, 11 is planned; as Spark writes it, checksums beside."""
    for folder in ("offsets", "commits"):
        (tmp_path / folder).mkdir()
    for batch in range(12):
        kafka = f'{{"trades_topic":{{"0":{batch}00,"1":7}},"news_topic":{{"0":3}}}}'
        lines = ["v1", '{"batchWatermarkMs":0}', kafka, '{"silver/bars_1m":4}', "-"]
        (tmp_path / "offsets" / str(batch)).write_text("\n".join(lines))
        (tmp_path / "offsets" / f".{batch}.crc").write_bytes(b"crc")
        if batch < 11:
            (tmp_path / "commits" / str(batch)).write_text('v1\n{"nextBatchWatermarkMs":0}')
    return str(tmp_path)


def test_the_newest_committed_batch_is_the_one_that_counts(checkpoint: str) -> None:
    assert last_batch(checkpoint) == 10
    assert read_to(checkpoint, 10) == {
        "trades_topic": {"0": 1000, "1": 7},
        "news_topic": {"0": 3},
        "silver/bars_1m": 4,
    }


def test_a_report_names_the_version_that_is_read_next(checkpoint: str) -> None:
    row = standing_row(checkpoint, "ingest", RUN)
    assert (row.query, row.batch_id, row.input_rows) == ("ingest", 10, 0)
    assert row.end_offsets["silver/bars_1m"] == {"version": 5, "index": -1}
    assert row.end_offsets["trades_topic"] == {"0": 1000, "1": 7}


def test_a_new_checkpoint_has_read_nothing(tmp_path: Path) -> None:
    row = standing_row(str(tmp_path / "none"), "ingest", RUN)
    assert (row.batch_id, row.end_offsets) == (-1, {})
