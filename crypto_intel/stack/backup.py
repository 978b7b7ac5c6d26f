"""`crypto-intel backup` and `restore`: a stopped data folder as one folder that can be put away, and back again.

What a backup holds: each database as pg_dump writes it (custom format, so that one table can be had from it too), the
roles without passwords, and all other files of the data folder, the lake, Kafka's log and the checkpoints among them,
in one tar. So what is restored goes on where the backup was made. What it does not hold: passwords, logs, processes.
A running stack's databases can be dumped alone: a dump is one moment of them, the files would be of many.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel

from crypto_intel.contracts.settings import Source
from crypto_intel.stack.errors import ServerFailedError, StackError
from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.launch import exclusive
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import SUPERUSER, PostgresServer, binary, ensure_database, with_database
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor

MANIFEST, FILES, ROLES = "manifest.json", "files.tar", "roles.sql"
LEFT_OUT = frozenset({"postgres", "logs"})
"""Of the data folder: the databases are dumped, and logs are of the machine that they were written on."""

KEPT_OF_RUN = frozenset({"stack.json", "source_ledger.json", "market_origin"})
READY_S = 60
TOOL_S = 3_600


class Manifest(BaseModel):
    """What a backup says of itself; written last, so that a backup without one was cut off."""

    source: Source
    made_at: datetime
    databases: list[str]
    with_files: bool


def make_backup(folder: Folder, target: Path, *, with_files: bool = True) -> Manifest:
    """Write a backup of a data folder into a new folder.

    Raises:
        StackError: no stack has run there, one runs and its files are wanted, or the target is not empty.
        ServerFailedError: PostgreSQL does not start, or pg_dump fails; its words are told.
    """
    state = folder.read()
    if state is None:
        raise StackError(f"no stack has run on {folder.root}", "start one: crypto-intel up")
    runs = Supervisor(folder.socket).answers()
    if runs and with_files:
        raise StackError(
            f"a stack runs on {folder.root}: its files change while they are read",
            "stop it first: crypto-intel down; or dump its databases alone: --databases-only",
        )
    _make_empty(target)
    with nullcontext() if runs else exclusive(folder):
        with _database(folder, state.ports["postgres"] if runs else None) as server:
            databases = _dump_all(server.dsn, target)
        if with_files:
            with tarfile.open(target / FILES, "w") as archive:
                for path in _files(folder):
                    archive.add(path, path.relative_to(folder.root))
    made = Manifest(source=state.source, made_at=datetime.now(UTC), databases=databases, with_files=with_files)
    write_atomic(target / MANIFEST, made.model_dump_json(indent=2) + "\n")
    return made


def restore_backup(backup: Path, folder: Folder) -> Manifest:
    """Make a new data folder of a backup.

    Raises:
        StackError: the backup is none, lacks the files, or the folder is not empty.
        ServerFailedError: PostgreSQL does not start, or pg_restore fails; its words are told.
    """
    found = read_manifest(backup)
    if not found.with_files:
        raise StackError(
            f"{backup} holds databases alone", "restore them with pg_restore into a database that was migrated"
        )
    _make_empty(folder.root)
    with tarfile.open(backup / FILES) as archive:
        archive.extractall(folder.root, filter="data")  # refuses names that lead out of the folder
    with exclusive(folder), _database(folder, None) as server:
        _make_roles(server.dsn, (backup / ROLES).read_text(encoding="utf-8"))
        for name in found.databases:
            ensure_database(server.dsn, name)
            _run("pg_restore", with_database(server.dsn, name), "--exit-on-error", "--single-transaction",
                 str(_dump_of(backup, name)))  # fmt: skip
    return found


def read_manifest(backup: Path) -> Manifest:
    """What the backup says of itself.

    Raises:
        StackError: it is no backup, or one that was cut off.
    """
    try:
        return Manifest.model_validate_json((backup / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StackError(f"{backup} is no whole backup", f"one has a {MANIFEST}, which is written last") from None


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StackError(f"{folder} is not empty", "name a new folder: nothing is ever overwritten")


@contextmanager
def _database(folder: Folder, port: int | None) -> Iterator[PostgresServer]:
    # The one that runs, or the same files served for the moment.
    if port is not None:
        yield PostgresServer(folder.root / "postgres", port)
        return
    server = PostgresServer(folder.root / "postgres", free_port())
    with server.start() as process:
        process.wait_until_ready(READY_S)
        yield server


def _dump_all(dsn: str, target: Path) -> list[str]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1").fetchall()
    names = [name for (name,) in found]
    for name in names:
        _run("pg_dump", with_database(dsn, name), "--format=custom", f"--file={_dump_of(target, name)}")
    _run("pg_dumpall", dsn, "--roles-only", "--no-role-passwords", f"--file={target / ROLES}")
    return names


def _dump_of(backup: Path, database: str) -> Path:
    return backup / f"{database}.dump"


def _files(folder: Folder) -> Iterator[Path]:
    for path in sorted(folder.root.iterdir()):
        if path == folder.run:
            yield from (path / name for name in sorted(KEPT_OF_RUN) if (path / name).exists())
        elif path.name not in LEFT_OUT:
            yield path


def _make_roles(dsn: str, text: str) -> None:
    # The new cluster has its own superuser; every other role comes with its memberships and without a password.
    lines = [line for line in text.splitlines() if line.startswith(("CREATE ROLE", "ALTER ROLE", "GRANT"))]
    with psycopg.connect(dsn, autocommit=True) as connection:
        for line in lines:
            if not line.startswith((f"CREATE ROLE {SUPERUSER};", f"ALTER ROLE {SUPERUSER} ")):
                connection.execute(sql.SQL(line))


def _run(tool: str, dsn: str, *arguments: str) -> None:
    # The password goes by the environment: a command line can be read by every user of the machine.
    at = conninfo_to_dict(dsn)
    password = str(at.pop("password", ""))
    place = psycopg.conninfo.make_conninfo("", **at)
    command = [str(binary(tool)), "--no-password", f"--dbname={place}", *arguments]
    done = subprocess.run(
        command, env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=TOOL_S, check=False
    )
    if done.returncode != 0:
        raise ServerFailedError(f"{tool} failed: {done.stderr.strip()[-600:]}")


def backup(
    target: Annotated[Path, typer.Argument(help="A new folder.")],
    databases_only: Annotated[
        bool, typer.Option("--databases-only", help="No files, so that the stack may run.")
    ] = False,
    source: SourceOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write databases (pg_dump) and files of a stopped data folder into a new folder; no password is in it."""
    folder = folder_of(source, data_dir)
    made = make_backup(folder, target, with_files=not databases_only)
    size = sum(path.stat().st_size for path in target.iterdir()) / 1e6
    typer.echo(f"{folder.root} ({made.source}) is in {target}: {', '.join(made.databases)}, {size:,.0f} MB")


def restore(
    backup: Annotated[Path, typer.Argument(help="A folder that `crypto-intel backup` wrote.")],
    data_dir: Annotated[Path, typer.Option("--data-dir", help="A new data folder.")],
) -> None:
    """Make a new data folder of a backup; `crypto-intel verify` says whether all is there, `up` goes on with it."""
    found = restore_backup(backup, Folder(data_dir))
    typer.echo(f"{data_dir} holds {found.source} data as of {found.made_at:%Y-%m-%d %H:%M} UTC")
    typer.echo(f"look: crypto-intel verify --data-dir {data_dir}")
