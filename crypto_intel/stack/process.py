"""One server as a child process of ours: started, waited for, stopped by its own handle.

Used where no supervisor runs: tests, `verify` on a stack that is down, and one-off tools of a server. A command is
tied to its parent (`tied_to_parent`), so that no server outlives whoever started it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from crypto_intel.stack.errors import ServerFailedError
from crypto_intel.stack.files import tail

POLL_S = 0.05
_PRCTL = (
    "import ctypes,os,signal,sys;"
    "ctypes.CDLL(None).prctl(1,getattr(signal,'SIG'+sys.argv[1]));"
    "os.execvp(sys.argv[2],sys.argv[2:])"
)


def tied_to_parent(command: Sequence[str], stop: str = "TERM") -> list[str]:
    """The command, made to get signal `stop` from the kernel when its parent is gone, even by kill -9."""
    if setpriv := shutil.which("setpriv"):
        return [setpriv, "--pdeathsig", stop, *command]
    return [sys.executable, "-c", _PRCTL, stop, *command] if sys.platform == "linux" else list(command)


@dataclass(frozen=True)
class Command:
    """How to run a server: argv, what its environment adds, and the signal that stops it in order."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: str = "TERM"


class Server:
    """A running server. A context manager: leaving it stops the server."""

    def __init__(self, name: str, command: Command, log: Path, answers: Callable[[], bool]) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._answers = answers
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **command.environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process has not ended."""
        return self._process.poll() is None

    def wait_until_ready(self, timeout_s: float = 60.0) -> Self:
        """Return once it answers.

        Raises:
            ServerFailedError: it ended, or did not answer within `timeout_s`; it is stopped then.
        """
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                what = f"ended with code {self._process.returncode}" if ended else f"did not answer in {timeout_s:g} s"
                raise ServerFailedError(f"{self.name} {what}; its last lines:\n" + "\n".join(tail(self._log, 15)))
            time.sleep(POLL_S)
        return self

    def stop(self, timeout_s: float = 20.0) -> None:
        """Ask it to stop; kill its whole process group when it has not within `timeout_s`."""
        if self._process.poll() is None:
            self._process.send_signal(getattr(signal, f"SIG{self._command.stop}"))
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
