"""Runs of minutes that tests only look at afterwards, each as a process that the session begins before its first test.

`python -m crypto_intel_tests.runs NAME FOLDER` makes run NAME of MADE and writes FOLDER/result.json. What belongs here:
what is started, and what happens to it. What does not: judging what became of it, which the tests do.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import psutil

from crypto_intel.stack.jars import default_folder, resolve_jars
from crypto_intel.stack.java import find_java_home
from crypto_intel.stack.process import tied_to_parent
from crypto_intel_tests.benchmarks.backlog import Backlog
from crypto_intel_tests.benchmarks.servers import servers
from crypto_intel_tests.chaos import platform
from crypto_intel_tests.chaos.crashes import killed_amid_records
from crypto_intel_tests.chaos.ground import Broker, Ground
from crypto_intel_tests.integration.recordings import write_capture

CANARIES = (
    "NEWSAPI_KEY",
    "FRED_API_KEY",
    "COINGECKO_API_KEY",
    "ALPHAVANTAGE_API_KEY",
    "SUPABASE_KEY",
    "CRYPTO_INTEL_API__JWT__SECRET",
    "CRYPTO_INTEL_API__ADMIN_SECRET",
    "CRYPTO_INTEL_BINANCE__API_KEY",
)
"""Variables that hold secrets in the environment of every process of the replay."""

NICER_BY = 5
"""Tests are waited for, a run is not: where both want a core, the tests get three quarters of it."""

FIRST_BARS_S = 400
BACKLOG_TRADES = 50_000


def played(folder: Path) -> dict[str, Any]:
    """A recording replayed at 20 times its speed; the Spark application is killed on the way.

    Returns:
        `folder` of the data, `capture` that was played, `canaries` (secret by variable), and what `up` `told`.
    """
    capture = _capture(folder)
    canaries = {name: f"canary{secrets.token_hex(20)}" for name in CANARIES}
    data = folder / "data"
    data.mkdir()
    told = _replay(data, capture, canaries)
    return {"folder": str(data), "capture": str(capture), "canaries": canaries, "told": told}


def faulted(folder: Path) -> dict[str, Any]:
    """One round of every kind of fault at both venues: chaos.platform's report."""
    return asdict(platform.run(folder / "platform"))


def killed(folder: Path) -> dict[str, Any]:
    """A worker and the driver of the streaming application killed while records flow: the verdict."""
    java_home = find_java_home()
    jars = resolve_jars(default_folder(), java_home)
    with Broker.at(folder / "kafka", java_home, jars) as broker:
        ground = Ground(folder, broker.kafka.bootstrap, java_home, jars)
        try:
            return asdict(killed_amid_records(ground))
        finally:
            ground.end()


def backlog(folder: Path) -> dict[str, Any]:
    """A small backlog worked off by the product and by the floor: the benchmark's `rows`."""
    with servers(folder) as running:
        return {"rows": Backlog(running, lambda _: None).measure([BACKLOG_TRADES])}


MADE: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "played": played,
    "faulted": faulted,
    "killed": killed,
    "backlog": backlog,
}
"""How each of helpers.background.RUNS is made. A test holds the two together."""


def _capture(folder: Path) -> Path:
    # The real recording where there is one.
    shared = os.environ.get("CRYPTO_INTEL_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    real = Path(shared) / "binance" / "ws_raw"
    return real if real.is_dir() else write_capture(folder / "capture")


def _replay(data: Path, capture: Path, canaries: Mapping[str, str]) -> Any:
    command = [sys.executable, "-m", "crypto_intel.cli", "up", "--source", "replay", "--capture", str(capture)]
    command += ["--speed", "20", "--until-done", "--json", "--data-dir", str(data)]
    with (data / "up.err").open("w") as log:
        up = subprocess.Popen(
            tied_to_parent(command), stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **canaries}
        )
        try:
            _kill_spark_after_its_first_bars(data, up)
            told, _ = up.communicate()
        finally:
            if up.poll() is None:
                up.terminate()
                up.wait()
    assert up.returncode == 0, told + (data / "up.err").read_text()[-4000:]
    return json.loads(told)


def _kill_spark_after_its_first_bars(data: Path, up: subprocess.Popen[str]) -> None:
    # kill -9 of the streaming application and its JVM once bars stand in the lake.
    bars = data / "lake" / "silver" / "bars_1m" / "_delta_log" / f"{1:020}.json"
    deadline = time.monotonic() + FIRST_BARS_S
    while not bars.exists():
        assert up.poll() is None, (data / "up.err").read_text()[-4000:]
        assert time.monotonic() < deadline, f"no bars after {FIRST_BARS_S} s"
        time.sleep(0.2)
    _keep_pages(data)
    for process in psutil.process_iter(["cmdline", "environ"]):
        ours = (process.info["environ"] or {}).get("CRYPTO_INTEL_DATA_DIR") == str(data)
        line = " ".join(process.info["cmdline"] or [])
        if ours and ("streaming.jobs" in line or "org.apache.spark.deploy.SparkSubmit" in line):
            process.send_signal(signal.SIGKILL)


def _keep_pages(data: Path) -> None:
    # What Spark's pages show of its environment and plans, and its metrics, end with it.
    ports = json.loads((data / "run" / "stack.json").read_text())["ports"]
    spark = f"http://127.0.0.1:{ports['spark']}"
    pages = [f"{spark}/environment/", f"{spark}/SQL/", f"{spark}/StreamingQuery/", f"{spark}/jobs/",
             f"http://127.0.0.1:{ports['metrics']}/metrics"]  # fmt: skip
    texts = [httpx.get(page, timeout=30, follow_redirects=True, trust_env=False).text for page in pages]
    assert "Spark Properties" in texts[0]
    (data / "pages.html").write_text("\n".join(texts))


def main(name: str, folder: Path) -> None:
    """Make a run; SIGTERM ends it as an error would, so that it puts its platform down."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        sys.exit("stopped")

    signal.signal(signal.SIGTERM, stop)
    os.nice(NICER_BY)
    told = MADE[name](folder)
    (folder / "result.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
