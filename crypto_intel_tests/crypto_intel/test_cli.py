"""The command line: help everywhere, errors as a sentence and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crypto_intel import cli
from crypto_intel.contracts.settings import Topics
from crypto_intel.stack.commands import app
from crypto_intel.stack.postgres import ensure_database

COMMANDS = (
    "up",
    "down",
    "status",
    "verify",
    "doctor",
    "logs",
    "jars",
    "prepare",
    "record",
    "rebuild",
    "inject",
    "keys",
    "rules",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert f"crypto-intel {command}" in shown.output


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert all(command in shown.output for command in COMMANDS)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of the command line."""
    monkeypatch.setattr("sys.argv", ["crypto-intel", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.app()
    return int(ended.value.code or 0)


def test_status_of_an_unused_folder_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "status", "--data-dir", str(tmp_path)) == 1
    told = capsys.readouterr().err
    assert "no stack has run" in told
    assert "crypto-intel up" in told


def test_a_market_without_an_end_can_not_be_played_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "up", "--source", "sim", "--until-done", "--data-dir", str(tmp_path)) == 1
    assert "--source replay" in capsys.readouterr().err


def test_a_replay_without_a_recording_names_the_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "up", "--source", "replay", "--data-dir", str(tmp_path)) == 1
    assert "--capture" in capsys.readouterr().err


def test_logs_of_an_unknown_part_list_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "kafka.log").write_text("one\ntwo\n")
    assert run(monkeypatch, "logs", "kafak", "--data-dir", str(tmp_path)) == 1
    assert "there are: kafka" in capsys.readouterr().err
    assert run(monkeypatch, "logs", "kafka", "-n", "1", "--data-dir", str(tmp_path)) == 0
    assert capsys.readouterr().out == "two\n"


@pytest.mark.stack
def test_a_cluster_is_prepared_where_the_settings_point_and_only_once(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, postgres_dsn: str
) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_KAFKA__BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("CRYPTO_INTEL_POSTGRES_DSN", ensure_database(postgres_dsn, "cluster"))
    for field in Topics.model_fields:
        monkeypatch.setenv(f"CRYPTO_INTEL_TOPICS__{field.upper()}", f"cluster_{field}")
    first = CliRunner().invoke(app, ["prepare"])
    assert f"{len(Topics.model_fields)} topics created" in first.output
    assert "0 migrations applied, 0 topics created" in CliRunner().invoke(app, ["prepare"]).output


def test_gaps_are_fetched_of_a_venue_that_there_is_in_a_stack_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--data-dir", str(tmp_path)]
    assert run(monkeypatch, "backfill", "gaps", "--venue", "nasdaq", *place) == 1
    assert "there are: binance, kraken" in capsys.readouterr().err
    assert run(monkeypatch, "backfill", "gaps", *place) == 1
    assert "no stack runs on" in capsys.readouterr().err
