"""Facts about the stack's processes from the operating system: who is left, and what they use."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

MARK = "CRYPTO_INTEL_STACK"
"""Every process of a stack carries its id in this variable, children of children too."""


def survivors(stack_id: str) -> list[psutil.Process]:
    """Processes of this stack that still run, this one left out."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == stack_id:
                found.append(process)
        except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
            continue
    return found


def end(processes: list[psutil.Process], timeout_s: float = 30) -> list[str]:
    """Ask each to stop, kill those that have not in time; names of those that had to be killed."""
    _each(processes, psutil.Process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    names = [f"{process.name()} ({process.pid})" for process in alive if process.is_running()]
    _each(alive, psutil.Process.kill)
    psutil.wait_procs(alive, timeout=5)
    return names


def _each(processes: list[psutil.Process], action: object) -> None:
    for process in processes:
        try:
            action(process)  # type: ignore[operator]
        except psutil.NoSuchProcess:
            continue


@dataclass(frozen=True)
class Usage:
    """What a part and its children use: resident memory in bytes, CPU in cores since the last look."""

    rss_bytes: int
    cores: float


class UsageMeter:
    """Measures parts by their root process. CPU needs two looks: the first one says 0."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def measure(self, pid: int) -> Usage:
        """Usage of the process and its children; zeros when it is gone."""
        rss, percent = 0, 0.0
        for process in self._tree(pid):
            try:
                with process.oneshot():
                    rss += _resident(process)
                    percent += process.cpu_percent()
            except psutil.Error:
                self._known.pop(process.pid, None)
        return Usage(rss, percent / 100)

    def _tree(self, pid: int) -> list[psutil.Process]:
        try:
            root = self._known.setdefault(pid, psutil.Process(pid))
            children = root.children(recursive=True)
        except psutil.NoSuchProcess:
            self._known.pop(pid, None)
            return []
        # cpu_percent() compares with the same object's last call, so the objects are kept.
        return [root, *(self._known.setdefault(child.pid, child) for child in children)]


def _resident(process: psutil.Process) -> int:
    # Shared pages (PostgreSQL's buffers) would be counted once for each of its processes.
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0)) if process.name() == "postgres" else int(memory.rss)
