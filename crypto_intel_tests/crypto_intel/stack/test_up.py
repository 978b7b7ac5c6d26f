"""`crypto-intel up` as a process: what it starts, what it survives, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from crypto_intel.stack.jars import Jars
from crypto_intel.stack.processes import survivors
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Process, Supervisor

pytestmark = pytest.mark.stack


def until(condition: Callable[[], Any], what: str, timeout_s: float = 90) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {timeout_s:g} s")


def crypto_intel(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "crypto_intel.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


class Up:
    """A running `crypto-intel up` on a folder of its own, without the parts that take long to start."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root / "data")
        self.supervisor = Supervisor(self.folder.socket)
        self.output = root / "up.log"
        command = [sys.executable, "-m", "crypto_intel.cli", "up", "--source", "sim"]
        command += ["--without", "dagster", "--without", "spark"]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(self.folder.root)], stdout=output, stderr=output, start_new_session=True
            )

    def part(self, name: str) -> Process | None:
        """A part as the supervisor sees it now."""
        if not self.supervisor.answers():
            return None
        return next((p for p in self.supervisor.processes() if p.name == name), None)

    def wait_until_running(self, name: str) -> Process:
        """Return when the part is steady."""

        def steady() -> Process | None:
            assert self.process.poll() is None, self.output.read_text()
            part = self.part(name)
            return part if part and part.state == "RUNNING" else None

        return until(steady, f"{name} runs")  # type: ignore[no-any-return]

    def left(self) -> list[psutil.Process]:
        """Processes of this stack that still run; `up` itself is not one."""
        state = self.folder.read()
        return survivors(state.stack_id) if state else []

    def end(self) -> None:
        """Stop everything, whatever the test did."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        for process in self.left():
            process.kill()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the data folder: each stack but the first goes on where the one before it ended."""
    return tmp_path_factory.mktemp("up")


@pytest.fixture
def up(root: Path, jars: Jars) -> Iterator[Up]:
    """A stack that has just been started."""
    running = Up(root)
    try:
        yield running
    finally:
        running.end()


def test_a_stack_lives_heals_refuses_a_second_one_and_leaves_nothing_behind(up: Up) -> None:
    up.wait_until_running("producer-pollers")
    up.wait_until_running("simulator")

    second = crypto_intel("up", "--source", "sim", "--data-dir", str(up.folder.root))
    assert second.returncode == 1
    assert f"(pid {up.supervisor.pid()})" in second.stderr
    assert "crypto-intel down" in second.stderr

    first_pid = up.wait_until_running("simulator").pid
    os.kill(first_pid, signal.SIGKILL)
    until(lambda: (p := up.part("simulator")) and p.pid not in {0, first_pid}, "the simulator is back")

    def counted() -> bool:
        seen = crypto_intel("status", "--data-dir", str(up.folder.root), "--json")
        parts = {part["name"]: part for part in json.loads(seen.stdout)["parts"]}
        return bool(parts["simulator"]["restarts"] == 1 and parts["kafka"]["rss_bytes"] > 50_000_000)

    until(counted, "the restart is counted", 20)

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(120) == 0, up.output.read_text()
    assert up.left() == []
    assert not up.folder.socket.exists()
    assert "killed" not in up.output.read_text()


def test_down_stops_a_stack_from_outside(up: Up) -> None:
    up.wait_until_running("valkey")
    done = crypto_intel("down", "--data-dir", str(up.folder.root))
    assert done.returncode == 0, done.stderr
    up.process.wait(60)
    assert up.left() == []
    again = crypto_intel("down", "--data-dir", str(up.folder.root))
    assert "no stack runs" in again.stdout


def test_nothing_outlives_an_up_that_is_killed(up: Up) -> None:
    up.wait_until_running("simulator")
    up.process.kill()
    up.process.wait()
    until(lambda: not up.left(), "all processes are gone", 60)


def test_nothing_outlives_a_supervisor_that_is_killed(up: Up) -> None:
    up.wait_until_running("simulator")
    os.kill(up.supervisor.pid(), signal.SIGKILL)
    assert up.process.wait(120) != 0
    assert up.left() == []
