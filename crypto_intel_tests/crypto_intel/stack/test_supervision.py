"""The supervisor with real, tiny parts: it restarts what dies and what hangs, and gives up what keeps dying."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from crypto_intel.stack import health
from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.parts import Part
from crypto_intel.stack.ports import answers, free_port
from crypto_intel.stack.probes import Probe
from crypto_intel.stack.process import Command, tied_to_parent
from crypto_intel.stack.settings import Supervision
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Process, Supervisor, wait_for
from crypto_intel.stack.supervisor_conf import render
from crypto_intel.stack.watch import read_health

pytestmark = pytest.mark.stack


def until(condition: Callable[[], Any], what: str, timeout_s: float = 40) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {timeout_s:g} s")


class Supervised:
    """A supervisor with some parts."""

    def __init__(self, root: Path, parts: Sequence[Part], supervision: Supervision) -> None:
        self.folder = Folder(root)
        self.supervisor = Supervisor(self.folder.socket)
        self.folder.logs.mkdir(parents=True)
        conf = self.folder.run / "supervisor.conf"
        write_atomic(conf, render(parts, self.folder, supervision))
        probes = {part.name: part.probe for part in parts if part.probe}
        plan = health.Plan(socket=self.folder.socket, probes=probes, supervision=supervision)
        write_atomic(self.folder.run / health.PLAN_FILE, plan.model_dump_json())
        self._process = subprocess.Popen([sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)])
        wait_for(self.supervisor)
        for part in parts:
            self.supervisor.start(part.name)

    def part(self, name: str) -> Process:
        """A part as the supervisor sees it now."""
        return next(process for process in self.supervisor.processes() if process.name == name)

    def health(self, name: str) -> health.PartHealth:
        """A part as the health checks saw it last."""
        return read_health(self.folder.health_file).parts.get(name, health.PartHealth())

    def end(self) -> None:
        """Stop the supervisor, and with it the parts."""
        self._process.terminate()
        self._process.wait(30)


PORT = free_port()
SERVER = Part(
    "simulator",
    Command(tied_to_parent([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(PORT)])),
    Probe(kind="http", port=PORT, grace_s=10),
    steady_s=1,
    stop_s=1,
)
DYING = Part("spark", Command(["sh", "-c", "echo this is why; exit 3"]), steady_s=1)
FLAPPING = Part("producer-pollers", Command(["sh", "-c", "sleep 1.2; exit 3"]), steady_s=1)


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A server, a part that can not start, and one that dies soon after each start."""
    rules = Supervision(unhealthy_after=1, start_retries=1, restarts=3, restart_window_s=60)
    running = Supervised(tmp_path_factory.mktemp("supervised") / "data", [SERVER, DYING, FLAPPING], rules)
    try:
        yield running
    finally:
        running.end()


def test_a_killed_part_comes_back(supervised: Supervised) -> None:
    until(lambda: answers(PORT), "the server answers")
    first = supervised.part("simulator").pid
    os.kill(first, signal.SIGKILL)
    until(lambda: supervised.part("simulator").pid not in {0, first} and answers(PORT), "the server is back")


def test_a_part_that_hangs_is_restarted(supervised: Supervised) -> None:
    until(lambda: answers(PORT), "the server answers")
    until(lambda: supervised.health("simulator").answers, "the health checks have seen it answer")
    hanging, before = supervised.part("simulator").pid, supervised.health("simulator").restarts
    os.kill(hanging, signal.SIGSTOP)
    until(lambda: supervised.part("simulator").pid not in {0, hanging} and answers(PORT), "another server runs")
    until(lambda: supervised.health("simulator").restarts == before + 1, "the restart is counted")


def test_a_part_that_can_not_start_fails_with_its_last_lines(supervised: Supervised) -> None:
    until(lambda: supervised.part("spark").state == "FATAL", "it is given up")
    assert "this is why" in supervised.folder.log("spark").read_text()


def test_a_part_that_dies_again_and_again_is_given_up_and_the_rest_goes_on(supervised: Supervised) -> None:
    until(lambda: supervised.health("producer-pollers").given_up, "it is given up")
    until(lambda: supervised.part("producer-pollers").state == "STOPPED", "it stays down")
    until(lambda: supervised.part("simulator").state == "RUNNING", "the rest goes on")
