"""The dashboard as a process over the database of the API's tests, and the API beside it to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel_tests.crypto_intel.serving.api.conftest import api, api_dsn

__all__ = ["api", "api_dsn"]


@contextmanager
def _pages(dsn: str, log: Path) -> Iterator[str]:
    port = free_port()
    own = {"CRYPTO_INTEL_POSTGRES_DSN": dsn, "CRYPTO_INTEL_DASHBOARD__PORT": str(port), "CRYPTO_INTEL_SOURCE": "sim",
           "CRYPTO_INTEL_DAGSTER_URL": "http://127.0.0.1:9", "CRYPTO_INTEL_DATA_DIR": str(log.parent)}  # fmt: skip
    command = [sys.executable, "-m", "crypto_intel.serving.dashboard"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **own}, stdout=output, stderr=output)
        try:
            _wait(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/_stcore/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the dashboard did not start")


@pytest.fixture(scope="module")
def pages(api_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the dashboard over known rows."""
    with _pages(api_dsn, tmp_path_factory.mktemp("pages") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def empty_pages(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the dashboard over a database without rows."""
    dsn = ensure_database(postgres_dsn, f"empty_{uuid.uuid4().hex[:8]}")
    migrate(dsn)
    with _pages(dsn, tmp_path_factory.mktemp("empty") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def lost_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the dashboard whose database is away, and its log."""
    log = tmp_path_factory.mktemp("lost") / "log"
    with _pages("postgresql://canary-user:canary-password@127.0.0.1:1/db", log) as address:
        yield address, log
