"""The supervisor's event listener: asks each running part whether it is well, and restarts one that is not.

Runs as a child of supervisord (`python -m crypto_intel.stack.health <run folder>`) and speaks its event protocol on
stdin and stdout, so nothing else may print. A part that does not answer several times in a row is restarted; a part
that had to be restarted too often within a while is stopped and reported as given up, and the rest goes on. What it
found stands in `health.json` for `status` and the terminal view.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from xmlrpc.client import Fault

from pydantic import BaseModel, Field
from supervisor import childutils

from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.probes import Probe, ask
from crypto_intel.stack.settings import Supervision
from crypto_intel.stack.supervisor_client import Supervisor

PLAN_FILE = "probes.json"
HEALTH_FILE = "health.json"


class Plan(BaseModel):
    """What `up` tells the listener."""

    socket: Path
    probes: dict[str, Probe]
    supervision: Supervision


class PartHealth(BaseModel):
    """What is known of one part. `answers` is None while it starts or where nothing can be asked."""

    answers: bool | None = None
    failures: int = Field(default=0, description="Unanswered questions in a row.")
    restarts: int = Field(default=0, description="Since the stack started.")
    given_up: bool = False


class Health(BaseModel):
    """All parts."""

    parts: dict[str, PartHealth] = Field(default_factory=dict)


Verdict = Literal["fine", "restart", "give up"]

MOST_DOUBLINGS = 3
"""Of a part's grace, as it is restarted."""


class Judge:
    """Decides from what was seen; does nothing itself."""

    def __init__(self, supervision: Supervision, clock: Callable[[], float] = time.monotonic) -> None:
        self._supervision = supervision
        self._clock = clock
        self._restarts: dict[str, deque[float]] = {}
        self.health = Health()

    def part(self, name: str) -> PartHealth:
        """What is known of a part."""
        return self.health.parts.setdefault(name, PartHealth())

    def is_due(self, name: str, probe: Probe, uptime_s: float) -> bool:
        """Whether no answer is a fault: it has answered since its start, or has had the time for it.

        On a machine so busy that a start takes longer, starting anew would never end: each time gets twice as long.
        """
        part = self.part(name)
        return part.answers is not None or uptime_s >= probe.grace_s * 2 ** min(part.restarts, MOST_DOUBLINGS)

    def answered(self, name: str, answer: bool) -> Verdict:
        """Take in an answer, or that none came."""
        part = self.part(name)
        part.answers = answer
        part.failures = 0 if answer else part.failures + 1
        if part.failures < self._supervision.unhealthy_after:
            return "fine"
        part.failures = 0
        return "restart"

    def restarted(self, name: str) -> Verdict:
        """Take in that a part was started again, by whomever."""
        part = self.part(name)
        part.answers = None
        part.restarts += 1
        times = self._restarts.setdefault(name, deque(maxlen=self._supervision.restarts))
        times.append(self._clock())
        recent = times[-1] - times[0] <= self._supervision.restart_window_s
        part.given_up = len(times) == self._supervision.restarts and recent
        return "give up" if part.given_up else "fine"


class Listener:
    """Carries out what the judge decides."""

    def __init__(self, run: Path, plan: Plan, supervisor: Supervisor) -> None:
        self._file = run / HEALTH_FILE
        self._plan = plan
        self._supervisor = supervisor
        self._judge = Judge(plan.supervision)
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(plan.probes)))

    def on_event(self, headers: Mapping[str, str], payload: str) -> None:
        """Handle one event of the supervisor."""
        if headers["eventname"] == "TICK_5":
            self.check()
        elif headers["eventname"] == "PROCESS_STATE_STARTING":
            self._on_start(childutils.get_headers(payload))
        else:
            return
        write_atomic(self._file, self._judge.health.model_dump_json())

    def check(self) -> None:
        """Ask every part that runs, all at once; those that are due must answer."""
        running = {p.name: p.uptime_s for p in self._supervisor.processes() if p.state == "RUNNING"}
        probes = {n: probe for n, probe in self._plan.probes.items() if n in running}
        due = {n: probe for n, probe in probes.items() if self._judge.is_due(n, probe, running[n])}
        early = {n: probe for n, probe in probes.items() if n not in due}
        for name, answer in zip(due, self._pool.map(ask, due.values()), strict=True):
            if self._judge.answered(name, answer) == "restart":
                self._restart(name)
        for name, answer in zip(early, self._pool.map(ask, early.values()), strict=True):
            self._judge.part(name).answers = answer or None

    def _restart(self, name: str) -> None:
        if self._judge.restarted(name) == "give up":
            self._act(name, "does not answer again and again: given up", self._supervisor.stop)
        else:
            self._act(name, "does not answer: restarting it", self._supervisor.restart)

    def _on_start(self, event: Mapping[str, str]) -> None:
        # From STOPPED it was started on purpose, or by `_restart`; from EXITED, BACKOFF or FATAL because it had died.
        if event["from_state"] == "STOPPED" or event["processname"] not in self._supervisor.known:
            return
        name = event["processname"]
        if self._judge.restarted(name) == "give up":
            self._act(name, "dies again and again: given up", self._supervisor.stop)

    def _act(self, name: str, why: str, action: Callable[[str], None]) -> None:
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {name} {why}\n")
        sys.stderr.flush()
        try:
            action(name)
        except Fault as fault:  # it ended meanwhile, or the supervisor is shutting down
            sys.stderr.write(f"{name}: {fault.faultString}\n")


def main() -> None:
    """Serve the supervisor's events until it closes stdin."""
    run = Path(sys.argv[1])
    plan = Plan.model_validate_json((run / PLAN_FILE).read_text(encoding="utf-8"))
    listener = Listener(run, plan, Supervisor(plan.socket))
    while True:
        headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
        try:
            listener.on_event(headers, payload)
        except (OSError, HTTPException, Fault) as error:  # the supervisor is busy ending; the next event tells
            sys.stderr.write(f"not looked: {error}\n")
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main()
