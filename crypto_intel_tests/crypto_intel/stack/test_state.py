"""A data folder remembers what it is: its source, its market's origin, its ports."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_intel.stack.errors import StackError, WrongSourceError
from crypto_intel.stack.state import SOCKET_LIMIT, Folder, open_state

NOW = datetime(2024, 8, 9, 12, 34, 56, tzinfo=UTC)


def test_a_market_begins_a_day_before_its_folder_and_never_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = open_state(folder, source="sim", seed=7, now=NOW)
    folder.write(first)
    later = open_state(folder, source="sim", seed=8, now=NOW + timedelta(days=3))
    assert later.origin == first.origin == datetime(2024, 8, 8, 12, tzinfo=UTC)
    assert later.seed == 7


def test_a_folder_refuses_another_source(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(open_state(folder, source="sim", seed=7, now=NOW))
    with pytest.raises(WrongSourceError, match="holds data of source 'sim', not 'live'"):
        open_state(folder, source="live", seed=7)


def test_a_state_that_can_not_be_read_is_an_error_and_not_a_new_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.run.mkdir()
    folder.state_file.write_text("{")
    with pytest.raises(StackError, match="can not be read"):
        folder.read()


def test_a_deep_folder_gets_a_short_socket(tmp_path: Path) -> None:
    deep = Folder(tmp_path / ("d" * 60) / ("e" * 60))
    assert len(os.fsencode(deep.socket)) <= SOCKET_LIMIT
    assert deep.socket != Folder(tmp_path / ("d" * 60) / ("f" * 60)).socket
