"""A recording played through the whole platform, its Spark application killed on the way, ends as it would have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal

from crypto_intel_tests.integration.recordings import recorded_trades, recounted_bars, write_capture

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

BAR = ["symbol", "window_start", "trade_count", "open", "high", "low", "close", "volume_base"]


@pytest.fixture(scope="module")
def capture(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real recording where there is one."""
    shared = Path(os.environ.get("CRYPTO_INTEL_SHARED_DATA") or repo_root.parent / "shared" / "data")
    real = shared / "binance" / "ws_raw"
    return real if real.is_dir() else write_capture(tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="module")
def played(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, object]]]:
    """The data folder of a replay whose Spark application was killed on the way, and what `up` told."""
    folder = tmp_path_factory.mktemp("replay")
    command = [sys.executable, "-m", "crypto_intel.cli", "up", "--source", "replay", "--capture", str(capture)]
    command += ["--speed", "20", "--until-done", "--json", "--data-dir", str(folder)]
    log = (folder / "up.err").open("w")
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        kill_spark_after_its_first_bars(folder, up)
        told, _ = up.communicate()
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait()
        log.close()
    assert up.returncode == 0, told + (folder / "up.err").read_text()[-4000:]
    yield folder, json.loads(told)


def kill_spark_after_its_first_bars(folder: Path, up: subprocess.Popen[str]) -> None:
    """kill -9 the streaming application and its JVM once bars stand in the lake."""
    bars = folder / "lake" / "silver" / "bars_1m" / "_delta_log" / f"{1:020}.json"
    deadline = time.monotonic() + 400
    while not bars.exists():
        assert up.poll() is None, (folder / "up.err").read_text()[-4000:]
        assert time.monotonic() < deadline, "no bars after 400 s"
        time.sleep(0.2)
    for process in psutil.process_iter(["cmdline", "environ"]):
        ours = (process.info["environ"] or {}).get("CRYPTO_INTEL_DATA_DIR") == str(folder)
        line = " ".join(process.info["cmdline"] or [])
        if ours and ("streaming.jobs" in line or "org.apache.spark.deploy.SparkSubmit" in line):
            process.send_signal(signal.SIGKILL)


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
