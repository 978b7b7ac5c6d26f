"""Services started by their own commands from compose.yaml, as processes: their health checks answer, and every query
of boards and rules names a metric that one of their pages shows.

Left out: Spark, Dagster and foreign images. The streaming application's names are taken from its
registry, without its queries.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.kafka import create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import ensure_database, migrate
from streaming.jobs.metrics import Metrics
from streaming.metrics import new_registry
from streaming.sinks.metrics import SinkMetrics

pytestmark = pytest.mark.stack

STARTED = ("simulator", "producer-binance", "producer-kraken", "producer-pollers", "api", "dashboard", "exporter")
INTERNAL_PORTS = ("9080", "9443", "9464", "8000", "8501")
OTHERS = {"up", "ALERTS", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Metrics that are Prometheus' own or its client library's."""

PROMQL = {
    "by", "le", "without", "on", "ignoring", "and", "or", "unless", "offset", "bool", "vector", "sum", "rate", "count",
    "max", "min", "avg", "topk", "deriv", "delta", "increase", "histogram_quantile", "predict_linear",
}  # fmt: skip


class Running:
    """The services, each on ports of its own, and what their pages show."""

    def __init__(self, services: dict[str, Any], root: Path, environment: dict[str, str]) -> None:
        self.services = services
        self.root = root
        self._environment = environment
        self._ports = {(name, port): free_port() for name in STARTED for port in INTERNAL_PORTS}

    @contextmanager
    def started(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a service's command as it stands in the file."""
        settings = {**self._environment, **self._own(name), "CRYPTO_INTEL_DATA_DIR": str(self.root)}
        command = [sys.executable, *self.services[name]["command"][1:]]
        log = (self.root / f"{name}.log").open("wb")
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log, cwd=self.root)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def address(self, name: str, port: str) -> str:
        """Where a port of a container is here."""
        return f"127.0.0.1:{self._ports[name, port]}"

    def _own(self, name: str) -> dict[str, str]:
        simulator = self._ports["simulator", "9080"], self._ports["simulator", "9443"]
        port = {number: str(self._ports[name, number]) for number in INTERNAL_PORTS}
        told = (Path(__file__).parents[2] / "docker" / "demo.env").read_text(encoding="utf-8")
        demo = dict(re.findall(r"^(\w+)=(.*)$", told, re.MULTILINE))
        moved = {
            key: value.replace("simulator:9080", f"127.0.0.1:{simulator[0]}").replace(
                "simulator:9443", f"127.0.0.1:{simulator[1]}"
            )
            for key, value in demo.items()
        }
        return {
            **moved,
            "CRYPTO_INTEL_METRICS_PORT": port["9464"],
            "CRYPTO_INTEL_API__PORT": port["8000"],
            "CRYPTO_INTEL_DASHBOARD__PORT": port["8501"],
            "CRYPTO_INTEL_SIMULATOR__REST_PORT": port["9080"],
            "CRYPTO_INTEL_SIMULATOR__WS_PORT": port["9443"],
        }

    def is_healthy(self, name: str) -> bool:
        """Run the service's health check as it stands in the file."""
        program, url = self.services[name]["healthcheck"]["test"][1:]
        assert program == "healthy"
        here = re.sub(r"localhost:(\d+)", lambda found: self.address(name, found[1]), url)
        script = Path(__file__).parents[2] / "docker" / "healthy.py"
        return subprocess.run([sys.executable, str(script), here], check=False).returncode == 0

    def metrics(self, name: str, path: str = "/metrics", port: str = "9464") -> set[str]:
        """Names on a service's page."""
        text = httpx.get(f"http://{self.address(name, port)}{path}", trust_env=False, timeout=20).text
        return {
            sample for family in text_string_to_metric_families(text) for sample in _samples(family.name, family.type)
        }


def _samples(name: str, kind: str) -> list[str]:
    if kind == "histogram":
        return [f"{name}_bucket", f"{name}_count", f"{name}_sum"]
    return [f"{name}_total"] if kind == "counter" else [name]


@pytest.fixture(scope="module")
def stores(postgres_dsn: str, kafka_bootstrap: str) -> dict[str, str]:
    """Settings of a database with the platform's schema, one with Dagster's, and a broker with the topics."""
    dsn, dagster = (ensure_database(postgres_dsn, name) for name in ("services", "services_dagster"))
    migrate(dsn)
    create_topics(kafka_bootstrap, Topics().all)
    url = dagster.replace("postgresql://", "postgresql+psycopg2://", 1)
    with dg.instance_for_test(overrides={"storage": {"postgres": {"postgres_url": url}}}):
        pass  # makes Dagster's tables
    return {
        "CRYPTO_INTEL_POSTGRES_DSN": dsn,
        "CRYPTO_INTEL_DAGSTER_PG_URL": url,
        "CRYPTO_INTEL_KAFKA__BOOTSTRAP": kafka_bootstrap,
    }


@pytest.fixture(scope="module")
def running(repo_root: Path, tmp_path_factory: pytest.TempPathFactory, stores: dict[str, str]) -> Iterator[Running]:
    """Every service of STARTED, well."""
    services = yaml.safe_load((repo_root / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_INTEL_")}
    found = Running(services, tmp_path_factory.mktemp("services"), {**outer, **stores})
    with ExitStack() as stack:
        processes = {name: stack.enter_context(found.started(name)) for name in STARTED}
        deadline = time.monotonic() + 120
        while ill := [name for name in STARTED if not found.is_healthy(name)]:
            logs = {name: (found.root / f"{name}.log").read_text()[-500:] for name in ill}
            assert all(process.poll() is None for process in processes.values()), f"ended: {logs}"
            assert time.monotonic() < deadline, f"not well: {logs}"
            time.sleep(0.5)
        yield found


@pytest.fixture(scope="module")
def known(running: Running) -> set[str]:
    """Every metric that some page shows."""
    streaming = new_registry()
    SinkMetrics(streaming)
    Metrics(lambda: 0, streaming)
    own = {name for family in streaming.collect() for name in _samples(family.name, family.type)}
    pages = [running.metrics(name) for name in ("producer-binance", "api", "exporter")]
    return own.union(*pages)


def test_a_health_check_fails_where_nothing_answers(running: Running, repo_root: Path) -> None:
    script = repo_root / "docker" / "healthy.py"
    nobody = f"http://127.0.0.1:{free_port()}/"
    assert subprocess.run([sys.executable, str(script), nobody], check=False).returncode == 1
    assert running.is_healthy("api")


def test_the_exporter_reaches_all_that_it_is_told_of(running: Running) -> None:
    page = httpx.get(f"http://{running.address('exporter', '9464')}/metrics", trust_env=False, timeout=20).text
    up = dict(re.findall(r'crypto_intel_exporter_source_up\{source="(\w+)"\} (\S+)', page))
    assert up == {"host": "1.0", "postgres": "1.0", "kafka": "1.0", "dagster": "1.0"}


def test_every_query_of_boards_and_rules_names_a_metric_that_is_there(known: set[str], repo_root: Path) -> None:
    expressions = [*board_queries(repo_root), *rule_queries(repo_root)]
    assert len(expressions) > 80
    unknown = {name for expression in expressions for name in named(expression)} - known - OTHERS
    assert not unknown


def test_names_follow_prometheus_conventions(known: set[str]) -> None:
    ours = {name for name in known if name.startswith("crypto_intel_")}
    assert len(ours) > 60
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in ours)
    assert not [name for name in ours if re.search(r"_(ms|millis|minutes|mb|kb|percent|pct)(_|$)", name)]


def board_queries(repo_root: Path) -> list[str]:
    """Every query of every board."""
    found = []
    for path in sorted((repo_root / "docker" / "grafana" / "boards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        found += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        found += [note["expr"] for note in board["annotations"]["list"]]
    return found


def rule_queries(repo_root: Path) -> list[str]:
    """Every rule's expression."""
    text = (repo_root / "docker" / "prometheus" / "rules" / "platform.yml").read_text(encoding="utf-8")
    return [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def named(expression: str) -> set[str]:
    """Metrics that an expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", bare)) - PROMQL
