"""A recording played through the whole platform, its Spark application killed on the way, ends as it would have."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal

from crypto_intel_tests.integration.recordings import recorded_trades, recounted_bars

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

BAR = ["symbol", "window_start", "trade_count", "open", "high", "low", "close", "volume_base"]


def lake(folder: Path, name: str) -> pl.DataFrame:
    """A table of the lake."""
    return pl.read_delta(str(folder / "lake" / name))


def test_the_replay_ends_verified_with_its_spark_application_killed_once(
    played: tuple[Path, dict[str, object]],
) -> None:
    folder, told = played
    verify = told["verify"]
    assert isinstance(verify, dict)
    assert verify["ok"] is True
    log = (folder / "logs" / "spark.log").read_text()
    assert log.count("Using incubator modules") >= 2  # what each new JVM says first: it was started again


def test_every_recorded_trade_is_in_bronze_and_once_in_silver(
    played: tuple[Path, dict[str, object]], capture: Path
) -> None:
    truth = recorded_trades(capture).select(pl.col("symbol").str.replace("USDT", "-USDT"), trade_id="id")
    key = ["symbol", "trade_id"]
    bronze = lake(played[0], "bronze/trades").select(key).unique().sort(key)
    silver = lake(played[0], "silver/trades").select(key).sort(key)
    assert_frame_equal(bronze, truth.sort(key))
    assert_frame_equal(silver, truth.sort(key))


@pytest.mark.parametrize(
    ("table", "window_ms"), [("silver/bars_1m", 60_000), ("silver/bars_5m", 300_000), ("gold/bars_1m", 60_000)]
)
def test_bars_equal_an_independent_recount(
    played: tuple[Path, dict[str, object]], capture: Path, table: str, window_ms: int
) -> None:
    truth = recounted_bars(recorded_trades(capture), window_ms)
    bars = lake(played[0], table).select(BAR).sort("symbol", "window_start")
    assert_frame_equal(bars.drop("volume_base"), truth.drop("volume_base"))
    assert_frame_equal(bars.select("volume_base"), truth.select("volume_base"), rel_tol=1e-9, abs_tol=1e-12)


def test_no_process_is_left_behind(played: tuple[Path, dict[str, object]]) -> None:
    folder = str(played[0])
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("CRYPTO_INTEL_DATA_DIR") == folder
    ]
    assert left == []
