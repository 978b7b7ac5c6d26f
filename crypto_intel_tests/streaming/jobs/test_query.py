"""How a query starts on what an earlier one left in its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from streaming.jobs.query import start
from streaming.settings import StreamingSettings

pytestmark = pytest.mark.stack
NAME = "numbers"


def run_to_an_end(spark: SparkSession, root: Path) -> list[int]:
    """Ids of the batches that a query does with what is there."""
    source = root / "source"
    source.mkdir(exist_ok=True)
    (source / f"{len(list(source.iterdir()))}.txt").write_text("1\n")
    done: list[int] = []

    def take(batch: DataFrame, batch_id: int) -> None:
        assert batch.count() == 1
        done.append(batch_id)

    settings = StreamingSettings(data_dir=root, postgres_dsn=None, redis_url=None)
    frame = spark.readStream.format("text").load(str(source))
    query = start(frame, NAME, settings, every_s=0.1, sink=take)
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    return done


def test_a_kill_amid_the_writing_of_the_first_batchs_offsets_is_no_foreign_checkpoint(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert run_to_an_end(spark, tmp_path) == [0]
    checkpoint = next(path for path in tmp_path.rglob(NAME) if path.is_dir())
    written = (checkpoint / "offsets" / "0").read_bytes()
    for log in ("offsets", "commits"):
        for path in (checkpoint / log).iterdir():
            path.unlink()
    for path in (checkpoint / "sources").rglob("*"):  # as it is before the first batch is planned
        if path.is_file():
            path.unlink()
    half = checkpoint / "offsets" / ".0.912e23c0-e187-4fac-bca0-3697484e4e95.tmp"
    half.write_bytes(written[: len(written) // 2])
    half.with_name(f".{half.name}.crc").write_bytes(b"crc")
    (tmp_path / "source" / "0.txt").unlink()
    assert run_to_an_end(spark, tmp_path) == [0]
    assert not half.exists()
