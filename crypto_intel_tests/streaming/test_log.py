"""Logs tell what failed and where, and no value of a variable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from streaming.log import blot, configure_log

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


@pytest.mark.parametrize(
    "text",
    [
        "no answer from postgresql://ci:{}@db.example:5432/postgres",
        "GET https://api.example/v1?symbol=BTC&apikey={}&x=1 answered 401",
        "headers {{'Authorization': 'Bearer {}'}}",
        'the body was {{"password": "{}"}}',
        "CRYPTO_INTEL_API__TOKEN={}",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text: str) -> None:
    secret = "CANARY" + "-7f3a91"
    told = blot(text.format(secret))
    assert secret not in told
    assert "***" in told


@pytest.mark.parametrize("text", ["redis://cache:6379/0", "https://api.binance.com/api/v3/trades?symbol=BTC", "token"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert blot(text) == text


@pytest.mark.parametrize("json", [False, True])
def test_lines_are_written_without_secrets(capsys: pytest.CaptureFixture[str], json: bool) -> None:
    configure_log(json=json)
    structlog.get_logger().warning("waiting", reason="no postgresql://u:CANARY@db/x", alert_id="price_move:1")
    told = capsys.readouterr().out
    assert "CANARY" not in told
    assert "price_move:1" in told
