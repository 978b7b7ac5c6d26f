"""`crypto-intel password`: another password for the database of a data folder, in the server and in its file."""

from __future__ import annotations

import secrets

import psycopg
import typer
from psycopg import sql

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import SUPERUSER, PostgresServer
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_client import Supervisor

READY_S = 60


def change_password(folder: Folder) -> None:
    """Draw a new password. Nobody is told it: it goes to the server and to `postgres/password` alone.

    The file is written within the server's transaction: one that fails leaves the old password in both.

    Raises:
        StackError: no stack has run there, or one runs, whose parts hold the old one.
    """
    if folder.read() is None:
        raise StackError(f"no stack has run on {folder.root}", "there is nothing to change")
    if Supervisor(folder.socket).answers():
        raise StackError(f"a stack runs on {folder.root}", f"stop it first: crypto-intel down --data-dir {folder.root}")
    from crypto_intel.stack.launch import exclusive

    server = PostgresServer(folder.root / "postgres", free_port())
    with exclusive(folder), server.start() as process:
        process.wait_until_ready(READY_S)
        drawn = secrets.token_urlsafe(24)
        with psycopg.connect(server.dsn) as connection:
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(change.format(sql.Identifier(SUPERUSER), sql.Literal(drawn)))
            write_atomic(server.password_file, drawn + "\n", mode=0o600)


def password(source: SourceOption = None, data_dir: DataDirOption = None) -> None:
    """Give the database of a data folder another password. Only while the stack is stopped; the next start uses it."""
    folder = folder_of(source, data_dir)
    change_password(folder)
    typer.echo(f"the database of {folder.root} has another password")
