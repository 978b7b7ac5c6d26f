"""`crypto-intel rebuild`: moves a checkpoint aside, deletes nothing, and never under a running stack."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from crypto_intel import cli
from crypto_intel.stack.commands import app
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.launch import exclusive
from crypto_intel.stack.rebuild import NEXT_START, QueryName, set_aside
from crypto_intel.stack.state import Folder
from streaming.jobs.app import QUERIES

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
assert cli.app  # registers the command


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A stopped data folder in which ingest and live have checkpoints."""
    for query in ("ingest", "live"):
        (tmp_path / "checkpoints" / query / "offsets").mkdir(parents=True)
        (tmp_path / "checkpoints" / query / "offsets" / "0").write_text(query)
    return Folder(tmp_path)


def test_every_query_can_be_rebuilt_and_says_what_will_happen() -> None:
    assert set(get_args(QueryName)) == set(QUERIES) == set(NEXT_START)


def test_the_checkpoint_is_moved_whole_and_others_stay(folder: Folder) -> None:
    aside = set_aside(folder, "ingest", NOW)
    assert (aside / "offsets" / "0").read_text() == "ingest"
    assert [path.name for path in (folder.root / "checkpoints").iterdir()] == ["live"]


def test_the_command_says_where_it_went_and_what_comes(folder: Folder) -> None:
    told = CliRunner().invoke(app, ["rebuild", "ingest", "--data-dir", str(folder.root)])
    assert told.exit_code == 0, told.output
    assert "checkpoints.aside" in told.output
    assert "adds to the lake what it lacks" in told.output


def test_a_second_rebuild_has_nothing_to_move(folder: Folder) -> None:
    set_aside(folder, "ingest", NOW)
    with pytest.raises(StackError, match="has no checkpoint"):
        set_aside(folder, "ingest", NOW)


def test_a_folder_that_a_stack_holds_is_left_alone(folder: Folder) -> None:
    with exclusive(folder), pytest.raises(StackError):
        set_aside(folder, "ingest", NOW)
    assert (folder.root / "checkpoints" / "ingest").is_dir()


def test_a_query_that_does_not_exist_is_named(folder: Folder) -> None:
    told = CliRunner().invoke(app, ["rebuild", "bars", "--data-dir", str(folder.root)])
    assert told.exit_code == 2
    assert "bar_news" in told.output
