"""Runs that tests only look at afterwards: begun with the session, they go on beside the tests of other things.

A run of the whole platform takes minutes, most of them waiting: for a recording to play, for batches, for Dagster. So
it is a process of its own that begins before the first test, and whoever asks for its result waits for what is left of
it. One run goes on at a time, in the order in which they were begun: two platforms at once would starve each other and
the tests. What each run does stands in runs.py, which takes seconds to import.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crypto_intel.stack.files import tail
from crypto_intel.stack.process import tied_to_parent

RUNS = ("played", "faulted", "killed", "backlog")
"""By the names of the fixtures that wait for them, in the order in which they are begun."""

STOP_S = 90
"""How long a run may take to put its platform down when the session ends early."""


class Background:
    """Runs, one at a time. A context manager: leaving it stops the one that goes on and forgets the others.

    Args:
        command: of a run; its name and its folder are added. It writes `result.json` there, leaves by itself, and
            stops in order at SIGTERM.
        folder: for a folder of each run.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        # As it is now: what a test sets for itself while a run waits for its turn is not meant for it.
        self._environment = dict(os.environ)
        self._turns = ThreadPoolExecutor(1, "background")
        self._results: dict[str, Future[Any]] = {}
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def begin(self, name: str) -> None:
        """Begin a run, as soon as those begun before it have ended; once, however often it is called."""
        if name not in self._results:
            self._results[name] = self._turns.submit(self._run, name)

    def result(self, name: str) -> Any:
        """What a run wrote; waits for its end, and begins it where nobody has.

        Raises:
            AssertionError: it left without a result; with the end of what it said.
        """
        self.begin(name)
        return self._results[name].result()

    def _run(self, name: str) -> Any:
        folder = self._folder / name
        folder.mkdir(parents=True)
        log, result = folder / "run.log", folder / "result.json"
        code = self._start([*self._command, name, str(folder)], log).wait()
        assert result.exists(), f"{name} left with {code}; its last lines:\n" + "\n".join(tail(log, 40))
        return json.loads(result.read_text(encoding="utf-8"))

    def _start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        with self._guard, log.open("wb") as output:
            assert not self._is_over, "the session is over"
            self._process = subprocess.Popen(
                tied_to_parent(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the tests alone, and they stop the run
            )
            return self._process

    def stop(self) -> None:
        """Stop what goes on and begin nothing more; returns when all is gone."""
        with self._guard:
            self._is_over = True
            process = self._process
        self._turns.shutdown(wait=False, cancel_futures=True)
        if process is not None and process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._turns.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
