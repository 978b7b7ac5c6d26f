"""The health checks of docker/compose.yaml, asked of a stack that `crypto-intel up` runs on this machine.

A service's own words are run, with the ports of the stack in place of the containers'.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import yaml  # type: ignore[import-untyped]

from crypto_intel.stack.parts import DAGSTER, PRODUCERS, SERVING, SIMULATED
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor

DOCKER = Path(__file__).parents[2] / "docker"
SERVICES = {"streaming": "spark", **{name: name for name in (*SIMULATED, *PRODUCERS, *SERVING, *DAGSTER)}}
"""Service and the part that runs the same command."""

PORTS = {
    "9080": "simulator_rest", "8000": "api", "8501": "dashboard", "3000": "dagster", "4266": "dagster_code",
}  # fmt: skip
"""Port in a container and what the stack calls it; the page of metrics (9464) is each part's own."""

METRICS = {"streaming": "metrics", "api": "metrics_api", "exporter": "exporter"}


def unanswered(folder: Folder, patience_s: float = 120) -> list[str]:
    """Services whose health check does not answer beside a stack that runs, by name; each is asked until it does.

    Args:
        folder: of the data; every part of SERVICES runs on it.
        patience_s: in which all must have answered.
    """
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    state = folder.read()
    assert state is not None
    deadline = time.monotonic() + patience_s
    left = dict(SERVICES)
    while left and time.monotonic() < deadline:
        running = {part.name: part.pid for part in Supervisor(folder.socket).processes() if part.state == "RUNNING"}
        for service, part in list(left.items()):
            test = services[service]["healthcheck"]["test"]
            if part in running and _answers(_here(test, service, state.ports), running[part]):
                del left[service]
        time.sleep(0.2)
    return sorted(left)


def _answers(command: Sequence[str], pid: int) -> bool:
    try:
        its_own = psutil.Process(pid).environ()
        done = subprocess.run(command, env=its_own, capture_output=True, check=False, timeout=60)
    except (psutil.Error, subprocess.TimeoutExpired):
        return False  # it has just been started anew, or is still loading: it is asked again
    return done.returncode == 0


def _here(test: Sequence[str], service: str, ports: Mapping[str, int]) -> list[str]:
    kind, *words = test
    assert kind == "CMD"
    programs = {
        "healthy": [sys.executable, str(DOCKER / "healthy.py")],
        "entrypoint": [str(DOCKER / "entrypoint.sh")],
        "dagster": [str(Path(sys.executable).parent / "dagster")],
        "dagster-daemon": [str(Path(sys.executable).parent / "dagster-daemon")],
    }
    own = {**PORTS, "9464": METRICS.get(service, service.replace("producer-", "metrics_"))}
    moved = [re.sub(r"(?<=localhost:)\d+|^\d+$", lambda at: str(ports[own[at[0]]]), word) for word in words]
    return [part for word in moved for part in programs.get(word, [word])]
