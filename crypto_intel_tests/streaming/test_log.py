"""Logs tell what failed and where, and no value of a variable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from streaming.log import configure_log

LONG_RUNNING = ("streaming/jobs", "streaming/producers", "streaming/simulator", "crypto_intel/serving/api")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def fail(_password: str) -> None:
    """Raise, with a secret at hand."""
    raise ValueError("refused")


@pytest.mark.parametrize("json", [False, True])
def test_a_traceback_names_the_place_and_shows_no_variable(capsys: pytest.CaptureFixture[str], json: bool) -> None:
    configure_log(json=json)
    try:
        fail("CANARY" + "-7f3a")
    except ValueError:
        structlog.get_logger().exception("query failed", query="publish")
    told = capsys.readouterr().out
    assert "ValueError: refused" in told
    assert "test_log.py" in told
    assert "CANARY-7f3a" not in told


@pytest.mark.parametrize("package", LONG_RUNNING)
def test_every_long_running_process_sets_up_its_log(repo_root: Path, package: str) -> None:
    assert "configure_log(json=settings.log_json)" in (repo_root / package / "__main__.py").read_text()
