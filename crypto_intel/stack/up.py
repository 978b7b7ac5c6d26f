"""`up` as people meet it: start, watch until told to stop or until the source has drained, stop, tell how it went."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.live import Live

from crypto_intel.stack import dagster_home, doctor, view
from crypto_intel.stack.drain import QUERIES, Drain, DrainReader
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.feeds import feeds
from crypto_intel.stack.judge import judge
from crypto_intel.stack.launch import Prepared, Stack, Wish, exclusive, prepare
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.postgres import with_database
from crypto_intel.stack.readers import DatabaseReader, KafkaReader, LakeReader
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.snapshot import Snapshot
from crypto_intel.stack.state import Folder
from crypto_intel.stack.watch import Watcher

if TYPE_CHECKING:
    from crypto_intel.stack.verify import Report

REFRESH_S = 2.0
LINE_EVERY_S = 10.0
"""Without a terminal, one line is written this often."""

DATA_FLOWS_WITHIN_S = 75.0
"""Dagster is started once every streaming query has ended a batch, but never later than this."""

End = Literal["stopped", "complete", "drained", "failed", "supervisor gone"]
"""complete: every part was started, and is left running. stopped: told to."""


@dataclass
class Outcome:
    """How a run of the stack ended. `started_s` is the time until every part had been started."""

    end: End = "stopped"
    started_s: float = 0
    ran_s: float = 0
    snapshot: Snapshot | None = None
    verify: Report | None = None
    killed: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when what was asked for was done."""
        refuted = self.verify is not None and not self.verify.is_ok
        return 1 if self.end in {"failed", "supervisor gone"} or refuted else 0


def run(wish: Wish, settings: StackSettings, console: Console, *, until_done: bool) -> Outcome:
    """Start the stack and hold it until it is told to stop, or has drained with `until_done`.

    Raises:
        StackError: it could not start; nothing is left running.
    """
    if until_done and wish.source != "replay":
        raise StackError(f"--until-done needs a source with an end; '{wish.source}' has none", "use --source replay")
    folder = Folder(settings.folder(wish.source, wish.data_dir))
    report = _reporter(console)
    with exclusive(folder), _interruptible():
        doctor.refuse_errors(doctor.examine(settings, wish.source, wish.data_dir), report)
        return _hold(prepare(wish, settings, report), wish, console, until_done=until_done)


def _hold(prepared: Prepared, wish: Wish, console: Console, *, until_done: bool) -> Outcome:
    outcome = Outcome()
    stack = Stack(prepared, _reporter(console))
    began = time.monotonic()
    leave_up = False
    try:
        stack.start(keep_up=wish.keep_up, without=wish.without)
        outcome.started_s = time.monotonic() - began
        _follow(stack, console, outcome, until=_end_wanted(wish, until_done))
        if outcome.end == "drained":
            outcome.verify = judge(prepared, patience_s=10)
        leave_up = wish.keep_up and outcome.end != "supervisor gone"
    except KeyboardInterrupt:
        console.print("stopping; a moment, everything is put down in order")
    finally:
        outcome.ran_s = time.monotonic() - began
        if not leave_up:
            with _undisturbed():
                outcome.killed = stack.stop()
    return outcome


def _end_wanted(wish: Wish, until_done: bool) -> End:
    if until_done:
        return "drained"
    return "complete" if wish.keep_up else "stopped"


def _follow(stack: Stack, console: Console, outcome: Outcome, *, until: End) -> None:
    """Watch until the wanted end, or until nothing is left to watch."""
    watcher = Watcher(stack.folder, stack.state, stack.settings)
    waits = _question(stack, until)
    began = time.monotonic()
    try:
        with _Screen(console) as screen:
            while stack.alive:
                outcome.snapshot = watcher.look()
                if not stack.is_complete and _may_start_dagster(outcome.snapshot, stack, began):
                    stack.start_dagster()
                waiting = waits()
                screen.show(outcome.snapshot, _note(waiting))
                if not waiting or (until != "stopped" and outcome.snapshot.failed):
                    outcome.end = "failed" if waiting else until
                    return
                time.sleep(REFRESH_S)
        outcome.end = "supervisor gone"
    finally:
        watcher.close()


def _may_start_dagster(snapshot: Snapshot, stack: Stack, began: float) -> bool:
    since = stack.state.started_at
    told = {
        query.name
        for query in snapshot.queries
        if query.batch_id >= 0 and query.updated_at and since and query.updated_at >= since
    }
    return told >= set(QUERIES) or time.monotonic() - began > DATA_FLOWS_WITHIN_S


def _note(waiting: list[str]) -> str:
    return "waiting: " + "; ".join(waiting) if waiting else ""


def _question(stack: Stack, until: End) -> Callable[[], list[str]]:
    """Asks what is still awaited before the wanted end."""
    if until == "stopped":
        return lambda: ["Ctrl-C, which stops everything"]
    if until == "complete":
        return lambda: [] if stack.is_complete else ["first batches, before Dagster is started"]
    drain = Drain()
    stores = (
        KafkaReader(f"{LOOPBACK}:{stack.state.ports['kafka']}"),
        LakeReader(stack.settings.lake or str(stack.folder.root / "lake")),
        DatabaseReader(stack.servers.postgres.dsn),
        DatabaseReader(with_database(stack.servers.postgres.dsn, dagster_home.DATABASE)),
    )
    reader = DrainReader(stack.folder, feeds(stack.state), stack.settings.topics, stores)
    return lambda: drain.waits_for(reader.read())


class _Screen:
    """A live view on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, screen=True) if console.is_terminal else None
        self._last_line = float("-inf")
        self._last_note = ""

    def __enter__(self) -> _Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, snapshot: Snapshot, note: str) -> None:
        """Show the stack as it is now."""
        if self._live:
            size = self._console.size
            self._live.update(view.render(snapshot, note, width=size.width, height=size.height), refresh=True)
        elif time.monotonic() - self._last_line >= LINE_EVERY_S or note != self._last_note:
            self._console.print(
                view.one_line(snapshot) + (f" | {note}" if note else ""), soft_wrap=True, highlight=False
            )
            self._last_line, self._last_note = time.monotonic(), note


def _reporter(console: Console) -> Callable[[str], None]:
    began = time.monotonic()

    def report(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {line}", highlight=False, soft_wrap=True)

    return report


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Stopping is not interrupted by impatience: it is bounded in time anyway."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
