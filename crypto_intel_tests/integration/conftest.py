"""One recording played through the whole platform, for every test of what it left."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from crypto_intel_tests.integration.recordings import write_capture


@pytest.fixture(scope="session")
def capture(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real recording where there is one."""
    shared = Path(os.environ.get("CRYPTO_INTEL_SHARED_DATA") or repo_root.parent / "shared" / "data")
    real = shared / "binance" / "ws_raw"
    return real if real.is_dir() else write_capture(tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="session")
def canaries() -> dict[str, str]:
    """Secrets in the environment of every process, by variable; nothing that is written may repeat one."""
    names = (
        "NEWSAPI_KEY",
        "FRED_API_KEY",
        "COINGECKO_API_KEY",
        "ALPHAVANTAGE_API_KEY",
        "SUPABASE_KEY",
        "CRYPTO_INTEL_API__JWT__SECRET",
        "CRYPTO_INTEL_API__ADMIN_SECRET",
        "CRYPTO_INTEL_BINANCE__API_KEY",
    )
    return {name: f"canary{secrets.token_hex(20)}" for name in names}


@pytest.fixture(scope="session")
def played(
    capture: Path, canaries: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, object]]]:
    """The data folder of a replay whose Spark application was killed on the way, and what `up` told."""
    folder = tmp_path_factory.mktemp("replay")
    command = [sys.executable, "-m", "crypto_intel.cli", "up", "--source", "replay", "--capture", str(capture)]
    command += ["--speed", "20", "--until-done", "--json", "--data-dir", str(folder)]
    log = (folder / "up.err").open("w")
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **canaries})
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
    keep_pages(folder)
    for process in psutil.process_iter(["cmdline", "environ"]):
        ours = (process.info["environ"] or {}).get("CRYPTO_INTEL_DATA_DIR") == str(folder)
        line = " ".join(process.info["cmdline"] or [])
        if ours and ("streaming.jobs" in line or "org.apache.spark.deploy.SparkSubmit" in line):
            process.send_signal(signal.SIGKILL)


def keep_pages(folder: Path) -> None:
    """Keep what Spark's pages show of its environment and plans, and its metrics: they end with it."""
    ports = json.loads((folder / "run" / "stack.json").read_text())["ports"]
    spark = f"http://127.0.0.1:{ports['spark']}"
    pages = [f"{spark}/environment/", f"{spark}/SQL/", f"{spark}/StreamingQuery/", f"{spark}/jobs/",
             f"http://127.0.0.1:{ports['metrics']}/metrics"]  # fmt: skip
    texts = [httpx.get(page, timeout=30, follow_redirects=True, trust_env=False).text for page in pages]
    assert "Spark Properties" in texts[0]
    (folder / "pages.html").write_text("\n".join(texts))
