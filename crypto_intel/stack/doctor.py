"""What on this machine would stop the stack or hurt it, found before anything starts; changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from crypto_intel.contracts.settings import Source
from crypto_intel.stack import java, postgres
from crypto_intel.stack.drain import QUERIES
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.jars import find_jars
from crypto_intel.stack.ports import is_free
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.state import Folder, open_state
from crypto_intel.stack.supervisor_client import Supervisor

GIB = 2**30
MEMORY_NEEDED = 3 * GIB
"""Below this the system would kill a JVM: Kafka 0.7, Spark 1.9 at least, and the Python parts beside them."""

MEMORY_WANTED = 6 * GIB
DISK_NEEDED = 1 * GIB
DISK_WANTED = 5 * GIB

RUNBOOKS = "docker/README.md"
"""Where what takes more than one command is written down, step by step."""

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` says what to do when it is not ok."""

    topic: str
    level: Level
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Machine:
    """What is measured, apart from the judgement, so that the judgement can be tested."""

    memory_available: int
    disk_free: int
    taken_ports: dict[str, int]
    java_home: Path | None
    jars_whole: bool
    postgres_problem: str | None
    fetcher: bool = True


def measure(settings: StackSettings, folder: Path) -> Machine:
    """Look at the machine."""
    wanted = settings.ports.model_dump()
    return Machine(
        memory_available=int(psutil.virtual_memory().available),
        disk_free=int(shutil.disk_usage(_existing(folder)).free),
        taken_ports={name: port for name, port in wanted.items() if not is_free(port)},
        java_home=java.installed_java_home(),
        jars_whole=find_jars(settings.jars_dir) is not None,
        postgres_problem=postgres.user_problem(),
    )


def judge(machine: Machine, settings: StackSettings) -> list[Finding]:
    """Findings about the machine, in order of what a start needs first."""
    return [
        _java(machine),
        _jars(machine, settings),
        _amount("memory", machine.memory_available, MEMORY_NEEDED, MEMORY_WANTED, "close other programs"),
        _amount(
            "disk",
            machine.disk_free,
            DISK_NEEDED,
            DISK_WANTED,
            f"free some, or name another --data-dir; see {RUNBOOKS}, Full disk",
        ),
        _postgres(machine),
        *_ports(machine),
    ]


def judge_folder(folder: Folder, source: Source, settings: StackSettings) -> Finding:
    """Whether the data folder can be used for this source now."""
    try:
        state = open_state(folder, source=source, seed=settings.seed)
    except StackError as error:
        return Finding("data folder", "error", error.message, error.hint)
    if Supervisor(folder.socket).answers():
        text = f"a stack already runs on {folder.root}"
        return Finding("data folder", "warning", text, f"crypto-intel down --data-dir {folder.root}")
    if state.started_at is None:
        return Finding("data folder", "ok", f"{folder.root} will be made")
    return Finding("data folder", "ok", f"{folder.root} holds source '{state.source}', and no stack runs on it")


def examine(settings: StackSettings, source: Source, data_dir: Path | None) -> list[Finding]:
    """Everything that `doctor` tells, and that `up` looks at before it starts."""
    folder = Folder(settings.folder(source, data_dir))
    running = judge_folder(folder, source, settings)
    machine = measure(settings, folder.root)
    if Supervisor(folder.socket).answers():  # the ports are taken by the stack itself
        machine = replace(machine, taken_ports={})
    return [*judge(machine, settings), running, *judge_checkpoints(folder), *judge_parts(folder)]


def judge_checkpoints(folder: Folder) -> list[Finding]:
    """Whether the streaming queries can go on where they were; nothing to say of a folder without a lake."""
    checkpoints, lake = folder.root / "checkpoints", folder.root / "lake"
    if not lake.is_dir():
        return []
    lost = [query for query in QUERIES if not (checkpoints / query).is_dir()]
    if not lost:
        return [Finding("checkpoints", "ok", f"of {', '.join(QUERIES)} are there")]
    text = f"none of {', '.join(lost)}: they read their input again from its beginning, and double nothing"
    return [Finding("checkpoints", "warning", text, f"see {RUNBOOKS}, Lost checkpoint")]


def judge_parts(folder: Folder) -> list[Finding]:
    """Parts of a running stack that the supervisor has given up; nothing to say of a stack that is down."""
    if not Supervisor(folder.socket).answers():
        return []
    try:
        parts = json.loads(folder.health_file.read_text(encoding="utf-8"))["parts"]
    except (OSError, ValueError, KeyError):  # its health checks have not made their first round
        return []
    mend = f"crypto-intel logs PART; see {RUNBOOKS}, PartFailing"
    return [
        Finding("parts", "warning", f"{name} dies again and again and was given up", mend)
        for name, part in sorted(parts.items())
        if part["given_up"]
    ]


def _java(machine: Machine) -> Finding:
    if machine.java_home:
        return Finding("java", "ok", str(machine.java_home))
    text = f"no Java {java.MINIMUM_VERSION} or newer; `up` fetches one if it can reach the internet"
    return Finding("java", "warning", text, "apt-get install openjdk-17-jre-headless, or set JAVA_HOME")


def _jars(machine: Machine, settings: StackSettings) -> Finding:
    if machine.jars_whole:
        return Finding("jars", "ok", f"whole, in {settings.jars_dir}")
    text = f"not (all) in {settings.jars_dir}; `up` fetches them (63 MB) from repo1.maven.org"
    return Finding("jars", "warning", text, "crypto-intel jars")


def _amount(topic: str, found: int, needed: int, wanted: int, mend: str) -> Finding:
    text = f"{found / GIB:.1f} GiB free"
    if found < needed:
        return Finding(topic, "error", f"{text}, at least {needed / GIB:.0f} needed", mend)
    if found < wanted:
        return Finding(topic, "warning", f"{text}, {wanted / GIB:.0f} are comfortable", mend)
    return Finding(topic, "ok", text)


def _postgres(machine: Machine) -> Finding:
    if machine.postgres_problem:
        return Finding("postgres", "error", machine.postgres_problem, "run the platform as an ordinary user")
    return Finding("postgres", "ok", "can be run by this user")


def _ports(machine: Machine) -> list[Finding]:
    if not machine.taken_ports:
        return [Finding("ports", "ok", "all free")]
    return [
        Finding(
            "ports",
            "warning",
            f"port {port} of {name} is taken; `up` will use a free one",
            f"to choose it: CRYPTO_INTEL_PORTS__{name.upper()}=N",
        )
        for name, port in machine.taken_ports.items()
    ]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def refuse_errors(findings: list[Finding], report: Callable[[str], None]) -> None:
    """Tell the warnings; raise on the first error.

    Raises:
        StackError: something would stop the stack.
    """
    for finding in findings:
        if finding.level == "error":
            raise StackError(f"{finding.topic}: {finding.text}", finding.mend)
        if finding.level == "warning" and finding.topic not in {"ports", "java", "jars"}:  # `up` says those itself
            report(f"{finding.topic}: {finding.text}")
