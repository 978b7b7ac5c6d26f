"""A contestant as a process of its own: when it was ready and done, and what its process tree cost.

A contestant prints `@ready {...}` when its runtime is up and no record is read yet, and `@done {...}` when all of its
output is durable (`say`). CPU-seconds and resident memory are sums over the process and all its descendants, sampled
ten times a second; memory counts shared pages once per process, so it is an upper bound.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

SAMPLE_S = 0.1
MEBIBYTE = 1_048_576


def say(event: str, **facts: object) -> None:
    """Tell whoever measures us where we are."""
    sys.stdout.write(f"@{event} {json.dumps(facts)}\n")
    sys.stdout.flush()


@dataclass
class Cost:
    """Of a run; seconds count from the start of the process.

    Attributes:
        cpu_at: CPU-seconds of the tree when each event was said.
        cpu_by: CPU-seconds at the end by what a process is: jvm, workers, driver.
        facts: what was said with the events.
        wrong: why it does not count; empty when it does.
    """

    name: str
    at_s: dict[str, float] = field(default_factory=dict)
    cpu_at: dict[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0
    cpu_by: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    wrong: str = ""

    @property
    def wall_s(self) -> float:
        """From the start of the process to its last durable output."""
        return self.at_s.get("done", 0.0)

    @property
    def work_s(self) -> float:
        """Without the start of the runtime."""
        return self.wall_s - self.at_s.get("ready", 0.0)

    @property
    def work_cpu_s(self) -> float:
        """CPU-seconds of the work."""
        return self.cpu_at.get("done", 0.0) - self.cpu_at.get("ready", 0.0)


class Tree(threading.Thread):
    """Samples a process and its descendants until it is stopped.

    Attributes:
        peak: greatest sum of resident bytes so far.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._known: dict[int, psutil.Process] = {}
        self._cpu: dict[int, float] = {}
        self._kinds: dict[int, str] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.peak = 0

    def run(self) -> None:
        """Sample now and then."""
        while not self._over.wait(SAMPLE_S):
            self.sample()

    def sample(self) -> float:
        """Sample now; CPU-seconds so far."""
        with self._lock:
            with contextlib.suppress(psutil.Error):
                for process in (self._root, *self._root.children(recursive=True)):
                    self._known.setdefault(process.pid, process)
            self.peak = max(self.peak, sum(self._look_at(process) for process in self._known.values()))
            return sum(self._cpu.values())

    def _look_at(self, process: psutil.Process) -> int:
        # Resident bytes; 0 of one that is gone. Its CPU-seconds stay counted.
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            self._cpu[process.pid] = times.user + times.system
            self._kinds[process.pid] = self._kinds.get(process.pid) or _kind(process)
            return int(process.memory_info().rss)
        return 0

    def cpu_by(self) -> dict[str, float]:
        """CPU-seconds so far by what a process is."""
        with self._lock:
            found: dict[str, float] = {}
            for pid, seconds in self._cpu.items():
                kind = self._kinds.get(pid) or "driver"
                found[kind] = found.get(kind, 0.0) + seconds
            return found

    def stop(self) -> None:
        """End sampling, and whatever the contestant left behind."""
        self._over.set()
        self.join()
        for process in self._known.values():
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(list(self._known.values()), timeout=20)


def _kind(process: psutil.Process) -> str:
    # Of Spark's processes; empty while a child is not yet what it will be.
    words = process.cmdline()
    if any(word.endswith("/java") for word in words[:1]) and "-cp" in words:
        return "jvm"
    return "workers" if "streaming.worker_daemon" in words else ""


def run(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, timeout_s: float) -> Cost:
    """Run a contestant to its end; what it prints besides events goes to `log`."""
    cost = Cost(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=output, text=True
        )
        tree = Tree(process.pid)
        tree.start()
        clock = threading.Timer(timeout_s, process.kill)
        clock.start()
        assert process.stdout
        for line in process.stdout:
            if line.startswith("@"):
                _note(cost, line, time.perf_counter() - began, tree.sample())
            else:
                output.write(line)
        process.wait()
        clock.cancel()
    cost.cpu_s = tree.sample()
    cost.cpu_by = tree.cpu_by()
    cost.peak_mib = tree.peak / MEBIBYTE
    tree.stop()
    if process.returncode or "done" not in cost.at_s:
        cost.wrong = f"ended with {process.returncode} after {time.perf_counter() - began:.0f} s, see {log.name}"
    return cost


def _note(cost: Cost, line: str, at_s: float, cpu_s: float) -> None:
    event, _, facts = line[1:].partition(" ")
    cost.at_s[event], cost.cpu_at[event] = at_s, cpu_s
    cost.facts |= json.loads(facts)
