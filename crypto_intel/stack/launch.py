"""Starts and stops the stack: what `up` and `down` do, without their faces.

Order matters. Stores come first and must answer; the schema and the topics are made before anything writes; who
writes is stopped before whom it writes to. Nothing outlives the stack: the supervisor is tied to its starter and each
part to the supervisor by the kernel, and what is left all the same is found by its mark and ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from xmlrpc.client import Fault

from filelock import FileLock, Timeout

from crypto_intel.contracts.settings import Source
from crypto_intel.stack import dagster_home, health, parts, postgres, processes
from crypto_intel.stack.errors import AlreadyRunningError, ServerFailedError, StackError
from crypto_intel.stack.files import tail, write_atomic
from crypto_intel.stack.jars import default_folder, resolve_jars
from crypto_intel.stack.java import find_java_home
from crypto_intel.stack.kafka import create_topics
from crypto_intel.stack.neighbours import claim
from crypto_intel.stack.parts import Part, Servers
from crypto_intel.stack.probes import ask
from crypto_intel.stack.process import POLL_S, tied_to_parent
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.state import Folder, StackState, open_state
from crypto_intel.stack.supervisor_client import Supervisor, wait_for
from crypto_intel.stack.supervisor_conf import render

READY_S = 90
"""Longest that a store or the simulator may take to answer; a broker that replays its log after a crash needs some."""

STOP_WAVE_S = 60
"""Longer than any part's own `stop_s`, after which the supervisor kills it."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What the user asked for."""

    source: Source
    data_dir: Path | None = None
    capture: Path | None = None
    speed: float = 1.0
    keep_up: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Everything that a start needs, found and checked."""

    folder: Folder
    state: StackState
    servers: Servers
    settings: StackSettings


@contextmanager
def exclusive(folder: Folder) -> Iterator[None]:
    """Hold the data folder for this process.

    Raises:
        AlreadyRunningError: another stack has it.
    """
    folder.run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.run / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _taken(folder) from None
    try:
        if Supervisor(folder.socket).answers():  # left up on purpose, by --keep-up
            raise _taken(folder)
        yield
    finally:
        lock.release()


def _taken(folder: Folder) -> AlreadyRunningError:
    state = folder.read()
    supervisor = Supervisor(folder.socket)
    pid = supervisor.pid() if supervisor.answers() else state.up_pid if state else None
    return AlreadyRunningError(
        f"a stack already runs on {folder.root} (pid {pid})",
        f"see it with `crypto-intel status --data-dir {folder.root}`, stop it with `crypto-intel down` on the same",
    )


def prepare(wish: Wish, settings: StackSettings, report: Report) -> Prepared:
    """Find Java, jars and ports, and open the folder's state. Call it inside `exclusive`.

    Raises:
        StackError: something on this machine is missing, or the folder holds another source's data.
    """
    folder = Folder(settings.folder(wish.source, wish.data_dir))
    state = open_state(folder, source=wish.source, seed=settings.seed)
    if state.source == "replay":
        state.capture = _capture(wish.capture or state.capture)
        state.speed = wish.speed
    java_home = find_java_home(report)
    jars = resolve_jars(settings.jars_dir, java_home, report)
    state.started_at, state.up_pid = datetime.now(UTC), os.getpid()
    wanted = {**settings.ports.model_dump(), **_kept(state, settings)}
    state.ports, notes = claim(folder, state.up_pid, wanted, default_folder().parent / "stacks")
    for note in notes:
        report(note)
    return Prepared(folder, state, Servers.of(folder, state.ports, settings, java_home, jars), settings)


def attach(folder: Folder, settings: StackSettings, report: Report) -> Prepared:
    """A running stack as its data folder describes it.

    Raises:
        StackError: no stack has run there.
    """
    state = folder.read()
    if state is None:
        raise StackError(f"no stack has run on {folder.root}", "start one: crypto-intel up")
    java_home = find_java_home(report)
    jars = resolve_jars(settings.jars_dir, java_home, report)
    return Prepared(folder, state, Servers.of(folder, state.ports, settings, java_home, jars), settings)


def _kept(state: StackState, settings: StackSettings) -> dict[str, int]:
    # A port that was found free last time is tried again, so that open pages and clients find it; one that is
    # set in the environment goes before.
    wanted = settings.ports.model_dump()
    return {n: p for n, p in state.ports.items() if n in wanted and n not in settings.ports.model_fields_set}


def _capture(capture: Path | None) -> Path:
    if capture is None:
        raise StackError("a replay needs a recording", "name its folder: --capture PATH")
    if not capture.is_dir() or not any(capture.iterdir()):
        raise StackError(f"no recording in {capture}", "--capture names a folder of recorded frames")
    return capture.resolve()


class Stack:
    """A running stack, as its starter holds it."""

    def __init__(self, prepared: Prepared, report: Report) -> None:
        self.folder = prepared.folder
        self.state = prepared.state
        self.settings = prepared.settings
        self.servers = prepared.servers
        self.supervisor = Supervisor(prepared.folder.socket)
        self.parts: list[Part] = []
        self.is_complete = False
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, keep_up: bool = False, without: tuple[str, ...] = ()) -> None:
        """Start all but Dagster in order; return when the stores, the simulator and the schema are there.

        Dagster's three processes take ten seconds of a core each to load, which the first rows would wait for, and it
        has nothing to do before an hour is over: `start_dagster` follows once data flows.

        Args:
            keep_up: the stack may outlive this process.
            without: parts to leave out, by name or by the beginning of it.

        Raises:
            StackError: nothing has such a name, or it can not be left out.
            ServerFailedError: a part without which nothing works did not come up.
        """
        self.prepare_servers()
        self.parts = parts.leave_out(parts.build_parts(self.state, self.folder, self.servers), without)
        self._start_supervisor(keep_up)
        self._start_wave(parts.STORES)
        self.prepare_stores()
        self._start_wave(parts.SIMULATED)
        self._start_all(("spark", *parts.PRODUCERS))

    def start_dagster(self) -> None:
        """Start what is left, what people look at first; `is_complete` from then on."""
        self._start_all((*parts.SERVING, *parts.DAGSTER))
        self.is_complete = True

    def prepare_servers(self) -> None:
        """Make each store's files and keep the state."""
        self.folder.logs.mkdir(parents=True, exist_ok=True)
        for server in (self.servers.kafka, self.servers.postgres, self.servers.valkey):
            server.prepare()
        self.folder.write(self.state)

    def prepare_stores(self) -> None:
        """Make databases, schema and topics; each is safe to repeat."""
        local = self.servers.postgres.dsn
        postgres.ensure_database(local, dagster_home.DATABASE)
        applied = postgres.migrate(parts.serving_dsn(self.state.source, local, self.settings))
        if applied:
            self._report(f"database: {len(applied)} migrations applied")
        topics = self.settings.topics
        created = create_topics(self.servers.kafka.bootstrap, topics.all, self.settings.kafka.partitions)
        if created:
            self._report(f"kafka: {len(created)} topics created")

    @property
    def alive(self) -> bool:
        """True while the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> list[str]:
        """Stop everything in order; names of processes that had to be killed at the end, normally none."""
        try:
            stop_in_order(self.supervisor, self._report)
        except (OSError, HTTPException, Fault):
            self._report("the supervisor is gone: ending what it left")
        if self._process is not None:
            try:
                self._process.wait(STOP_WAVE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return processes.end(processes.survivors(self.state.stack_id))

    def _start_supervisor(self, keep_up: bool) -> None:
        run = self.folder.run
        configuration = run / "supervisor.conf"
        write_atomic(configuration, render(self.parts, self.folder, self.settings.supervision))
        probes = {part.name: part.probe for part in self.parts if part.probe}
        plan = health.Plan(socket=self.folder.socket, probes=probes, supervision=self.settings.supervision)
        write_atomic(run / health.PLAN_FILE, plan.model_dump_json(indent=2))
        self.folder.health_file.unlink(missing_ok=True)
        self.folder.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
        own = parts.environment(self.state, self.folder, self.servers, self.settings, os.environ)
        with (self.folder.logs / "supervisord.out").open("wb") as output:
            self._process = subprocess.Popen(
                command if keep_up else tied_to_parent(command),
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches `up` alone, which stops the parts in order
                cwd=self.folder.root,
            )
        wait_for(self.supervisor)

    def _start_all(self, names: tuple[str, ...]) -> None:
        for part in parts.select(self.parts, names):
            self.supervisor.start(part.name)

    def _start_wave(self, names: tuple[str, ...]) -> None:
        wave = parts.select(self.parts, names)
        began = time.monotonic()
        self._start_all(names)
        for part in wave:
            if not self._wait(part, began + READY_S):
                self._fail(part)
            self._report(f"{part.name} answers after {time.monotonic() - began:.1f} s")

    def _wait(self, part: Part, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if self._answers(part):
                return True
            if any(p.name == part.name and p.state == "FATAL" for p in self.supervisor.processes()):
                return False
            time.sleep(POLL_S)
        return False

    def _answers(self, part: Part) -> bool:
        servers = {"kafka": self.servers.kafka, "postgres": self.servers.postgres, "valkey": self.servers.valkey}
        if part.name in servers:
            return servers[part.name].answers()  # type: ignore[attr-defined, no-any-return]
        return part.probe is None or ask(part.probe)

    def _fail(self, part: Part) -> None:
        lines = "\n".join(tail(self.folder.log(part.name), 15))
        if not part.optional:
            raise ServerFailedError(f"{part.name} did not come up; its last lines:\n{lines}")
        self._report(f"{part.name} did not come up; going on without it. Its last lines:\n{lines}")


def stop_in_order(supervisor: Supervisor, report: Report) -> None:
    """Stop the parts wave by wave, then the supervisor."""
    for wave in parts.STOP_WAVES:
        running = [p.name for p in supervisor.processes() if p.name in wave and p.runs]
        if running:
            report(f"stopping {', '.join(running)}")
            supervisor.stop_wave(wave, STOP_WAVE_S)
    supervisor.shutdown()


def stop_from_outside(folder: Folder, report: Report) -> bool:
    """Stop the stack of a data folder, whoever started it; False when none was running.

    Raises:
        StackError: something could not be stopped.
    """
    state = folder.read()
    if state is None:
        return False
    supervisor = Supervisor(folder.socket)
    was_up = supervisor.answers()
    if was_up:
        pid = supervisor.pid()
        stop_in_order(supervisor, report)
        _wait_gone(pid)
    left = processes.survivors(state.stack_id)
    processes.end(left)
    if processes.survivors(state.stack_id):
        raise StackError(f"processes of {folder.root} can not be stopped", "they may belong to another user")
    return was_up or bool(left)


def _wait_gone(pid: int) -> None:
    import psutil

    deadline = time.monotonic() + STOP_WAVE_S
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(POLL_S)


@contextmanager
def stores_only(prepared: Prepared, report: Report) -> Iterator[None]:
    """Run the three stores alone, as children of this process, for a look at a stack that is down."""
    stack = Stack(prepared, report)
    stack.prepare_servers()
    servers = prepared.servers
    with servers.kafka.start() as kafka, servers.postgres.start() as database, servers.valkey.start() as cache:
        for server in (database, cache, kafka):
            server.wait_until_ready(READY_S)
        stack.prepare_stores()
        yield


@contextmanager
def environment_of(prepared: Prepared) -> Iterator[None]:
    """Give this process the environment of the stack's own, so that settings find its servers."""
    before = dict(os.environ)
    own = parts.environment(prepared.state, prepared.folder, prepared.servers, prepared.settings, before)
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
