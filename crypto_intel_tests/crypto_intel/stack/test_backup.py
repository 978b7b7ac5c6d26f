"""`crypto-intel backup` and `restore`: what was there is there again, and nothing is ever overwritten."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from crypto_intel.cli import commands
from crypto_intel.stack.backup import FILES, make_backup, read_manifest, restore_backup
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.launch import exclusive
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, ensure_database, migrate
from crypto_intel.stack.state import Folder, StackState

NOW = datetime(2026, 11, 21, tzinfo=UTC)
_SUM = "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"


def _state(folder: Folder, port: int) -> None:
    folder.write(StackState(source="sim", seed=1, origin=NOW, created_at=NOW, ports={"postgres": port}))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A data folder that a stack has used: rows in two databases, a role of its own, files."""
    folder = Folder(tmp_path_factory.mktemp("data"))
    server = PostgresServer(folder.root / "postgres", free_port())
    with server.start() as process:
        process.wait_until_ready(60)
        migrate(server.dsn)
        with psycopg.connect(server.dsn) as connection:
            connection.execute(
                "INSERT INTO coins (venue, symbol) VALUES ('binance', 'BTC-USDT'), ('kraken', 'ETH-USD')"
            )
            connection.execute("CREATE ROLE desk LOGIN PASSWORD 'canary-password'")
            connection.execute("GRANT ci_reader TO desk")
        with psycopg.connect(ensure_database(server.dsn, "dagster")) as connection:
            connection.execute("CREATE TABLE runs AS SELECT n FROM generate_series(1, 100) n")
    _state(folder, server.port)
    (folder.root / "lake" / "bronze").mkdir(parents=True)
    (folder.root / "lake" / "bronze" / "part.parquet").write_bytes(b"\x00rows")
    folder.logs.mkdir()
    folder.log("spark").write_text("a line")
    return folder


def _facts(folder: Folder) -> dict[str, object]:
    server = PostgresServer(folder.root / "postgres", free_port())
    with server.start() as process:
        process.wait_until_ready(60)
        found: dict[str, object] = {}
        with psycopg.connect(server.dsn) as connection:
            for table in ("public.coins", "ops.audit", "ops.retention", "public._yoyo_migration"):
                found[table] = connection.execute(_SUM.format(table)).fetchall()  # type: ignore[arg-type]
            found["rights"] = connection.execute(
                "SELECT pg_has_role('desk', 'ci_reader', 'MEMBER'), has_table_privilege('desk', 'coins', 'SELECT'), "
                "has_table_privilege('anon', 'coins', 'SELECT')"
            ).fetchall()
        with psycopg.connect(ensure_database(server.dsn, "dagster")) as connection:
            found["runs"] = connection.execute("SELECT sum(n) FROM runs").fetchall()
        assert migrate(server.dsn) == []
    return found


@pytest.mark.stack
def test_a_restored_folder_holds_what_was_there(stopped: Folder, tmp_path: Path) -> None:
    backup, restored = tmp_path / "backup", Folder(tmp_path / "restored")
    told = CliRunner().invoke(commands, ["backup", str(backup), "--data-dir", str(stopped.root)])
    assert told.exit_code == 0, told.output
    told = CliRunner().invoke(commands, ["restore", str(backup), "--data-dir", str(restored.root)])
    assert told.exit_code == 0, told.output
    assert "crypto-intel verify" in told.output
    before = _facts(stopped)
    assert before == _facts(restored)
    assert before["rights"] == [(True, True, False)]
    assert restored.read() == stopped.read()
    assert (restored.root / "lake" / "bronze" / "part.parquet").read_bytes() == b"\x00rows"
    assert not restored.logs.exists()
    assert b"canary-password" not in b"".join(path.read_bytes() for path in backup.iterdir())
    with pytest.raises(StackError, match="not empty"):
        make_backup(stopped, backup)
    with pytest.raises(StackError, match="not empty"):
        restore_backup(backup, stopped)


@pytest.mark.stack
def test_databases_alone_are_no_data_folder(stopped: Folder, tmp_path: Path) -> None:
    made = make_backup(stopped, tmp_path / "backup", with_files=False)
    assert made.databases == ["dagster", "postgres"]
    assert not (tmp_path / "backup" / FILES).exists()
    with pytest.raises(StackError, match="databases alone"):
        restore_backup(tmp_path / "backup", Folder(tmp_path / "restored"))


def test_what_is_no_whole_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"source": "sim"')
    with pytest.raises(StackError, match="no whole backup"):
        read_manifest(tmp_path)
    with pytest.raises(StackError, match="no stack has run"):
        make_backup(Folder(tmp_path / "none"), tmp_path / "target")


def test_a_folder_that_a_stack_holds_is_left_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    _state(folder, 1)
    with exclusive(folder), pytest.raises(StackError, match="already runs"):
        make_backup(folder, tmp_path / "target")
