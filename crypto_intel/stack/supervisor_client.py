"""What the supervisor is asked and told: a thin, typed layer over its XML-RPC on a UNIX socket."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from crypto_intel.stack.errors import ServerFailedError

_GONE = {Faults.NOT_RUNNING, Faults.NO_FILE, Faults.SPAWN_ERROR, Faults.ABNORMAL_TERMINATION}
_THERE = {Faults.ALREADY_STARTED}
_ENDING = {Faults.BAD_NAME, Faults.SHUTDOWN_STATE}


@dataclass(frozen=True)
class Process:
    """One process as the supervisor sees it. `state` is STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED or
    FATAL; `uptime_s` is 0 when it does not run."""

    name: str
    state: str
    pid: int
    uptime_s: float
    detail: str

    @property
    def runs(self) -> bool:
        """True while there is a process."""
        return self.state in {"STARTING", "RUNNING", "STOPPING"}


class Supervisor:
    """A connection to the supervisor behind `socket`; made anew for each call, since it may be gone any time."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def answers(self) -> bool:
        """True when a supervisor is there."""
        if not self._socket.exists():
            return False
        try:
            self._rpc.getState()
        except (OSError, HTTPException, Fault):
            return False
        return True

    def pid(self) -> int:
        """Process id of the supervisor."""
        return int(self._rpc.getPID())

    def processes(self) -> list[Process]:
        """All programs, the event listener left out, in no order."""
        return [_process(info) for info in self._rpc.getAllProcessInfo() if info["group"] != "health"]

    @cached_property
    def known(self) -> frozenset[str]:
        """Names of the programs."""
        return frozenset(process.name for process in self.processes())

    def start(self, name: str) -> None:
        """Start it, without waiting; nothing happens when it runs already."""
        try:
            self._rpc.startProcess(name, False)
        except Fault as fault:
            if fault.faultCode not in _THERE | _GONE:
                raise

    def stop(self, name: str) -> None:
        """Stop it, without waiting; nothing happens when it does not run."""
        try:
            self._rpc.stopProcess(name, False)
        except Fault as fault:
            if fault.faultCode not in _GONE:
                raise

    def restart(self, name: str) -> None:
        """Stop it, wait until it has, and start it."""
        try:
            self._rpc.stopProcess(name, True)
        except Fault as fault:
            if fault.faultCode not in _GONE:
                raise
        self.start(name)

    def stop_wave(self, names: Iterable[str], timeout_s: float) -> None:
        """Stop several at once and wait until all have, or until the time is up (the supervisor kills by itself)."""
        wave = set(names) & self.known
        for name in wave:
            self.stop(name)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not any(process.runs for process in self.processes() if process.name in wave):
                return
            time.sleep(0.1)

    def shutdown(self) -> None:
        """End the supervisor; it stops what still runs. Nothing happens where somebody else is ending it already."""
        # While it ends it looks at one group a second, stopped ones too: those are taken out of its sight first.
        try:
            for process in self.processes():
                if not process.runs:
                    self._rpc.removeProcessGroup(process.name)
            self._rpc.shutdown()
        except Fault as fault:  # `up` and `down` may both see that the parts have stopped
            if fault.faultCode not in _ENDING:
                raise

    @property
    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def wait_for(supervisor: Supervisor, timeout_s: float = 20) -> None:
    """Return once the supervisor answers.

    Raises:
        ServerFailedError: it did not.
    """
    deadline = time.monotonic() + timeout_s
    while not supervisor.answers():
        if time.monotonic() > deadline:
            raise ServerFailedError(f"the supervisor did not answer in {timeout_s:g} s")
        time.sleep(0.05)


def _process(info: dict[str, Any]) -> Process:
    running = info["statename"] in {"RUNNING", "STARTING", "STOPPING"}
    return Process(
        name=str(info["name"]),
        state=str(info["statename"]),
        pid=int(info["pid"]),
        uptime_s=float(info["now"] - info["start"]) if running else 0.0,
        detail=str(info["spawnerr"] or info["description"]),
    )
