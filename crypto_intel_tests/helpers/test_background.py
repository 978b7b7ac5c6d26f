"""Runs go on one at a time beside the tests, say why they failed to who asks, and end with the session."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from crypto_intel_tests.helpers.background import RUNS, Background
from crypto_intel_tests.runs import MADE

RUN = """
import json, os, pathlib, signal, subprocess, sys
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def told(**more):
    (folder / "result.json").write_text(json.dumps({"pid": os.getpid(), **more}))
if name == "fails":
    sys.exit("there is no wind")
if name == "waits":
    child = subprocess.Popen(["sleep", "600"])
    (folder / "child").write_text(str(child.pid))
    def stop(*_):
        child.terminate()
        child.wait()
        (folder / "stopped").touch()
        sys.exit(1)
    signal.signal(signal.SIGTERM, stop)
    os.mkfifo(folder / "never")
    open(folder / "never").read()
others = [path.name for path in folder.parent.iterdir() if path != folder and not (path / "result.json").exists()]
told(others=others, variable=os.environ.get("OF_A_TEST"))
"""


@pytest.fixture
def runs(tmp_path: Path) -> Background:
    """Runs of the script above."""
    return Background([sys.executable, "-c", RUN], tmp_path / "runs")


def test_each_run_can_be_made() -> None:
    assert tuple(MADE) == RUNS


def test_one_run_goes_on_at_a_time_in_the_environment_of_the_sessions_start(
    runs: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_A_TEST", "set behind the start")
    with runs:
        runs.begin("first")
        runs.begin("second")
        second, first = runs.result("second"), runs.result("first")
        assert first["pid"] != second["pid"] == runs.result("second")["pid"]
    assert (first["others"], second["others"]) == ([], [])
    assert first["variable"] is None


def test_who_asks_is_told_why_a_run_failed(runs: Background) -> None:
    with runs, pytest.raises(AssertionError, match="fails left with 1; its last lines:\nthere is no wind"):
        runs.result("fails")


def test_the_end_of_the_session_stops_what_goes_on_and_begins_nothing_more(runs: Background, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "waits"
    with runs:
        runs.begin("waits")
        runs.begin("later")
        until((folder / "never").exists)
        child = psutil.Process(int((folder / "child").read_text()))
    assert (folder / "stopped").exists()
    assert not child.is_running()
    assert not (tmp_path / "runs" / "later").exists()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
