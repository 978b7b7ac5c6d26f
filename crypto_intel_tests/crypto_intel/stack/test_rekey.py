"""Another password of the database: the old one is refused, and both places agree."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer
from crypto_intel.stack.rekey import change_password
from crypto_intel.stack.state import Folder, open_state


@pytest.mark.stack
def test_the_old_password_is_refused_afterwards_and_the_new_one_is_the_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(open_state(folder, source="sim", seed=7))
    server = PostgresServer(tmp_path / "postgres", free_port())
    server.prepare()
    old = server.dsn
    change_password(folder)
    assert server.dsn != old
    with server.start() as process:
        process.wait_until_ready()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(old)
        psycopg.connect(server.dsn).close()
    assert server.password_file.stat().st_mode & 0o077 == 0


def test_a_folder_without_a_stack_has_none_to_change(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no stack has run"):
        change_password(Folder(tmp_path))
