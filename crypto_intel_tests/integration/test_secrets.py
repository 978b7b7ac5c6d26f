"""No secret is in anything that a whole platform wrote: logs, pages, lake, Kafka, checkpoints, databases, backups."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from crypto_intel.stack.backup import FILES, ROLES, make_backup
from crypto_intel.stack.postgres import binary
from crypto_intel.stack.state import Folder

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def backup(played: tuple[Path, dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the played folder: its databases can be read from it."""
    target = tmp_path_factory.mktemp("backup")
    make_backup(Folder(played[0]), target)
    return target


@pytest.fixture(scope="module")
def secret(played: tuple[Path, dict[str, object]], canaries: dict[str, str]) -> re.Pattern[bytes]:
    """Any of the secrets: those of the environment, and the database's own password."""
    password = (played[0] / "postgres" / "password").read_text().strip()
    return re.compile(b"|".join(re.escape(value.encode()) for value in [*canaries.values(), password]))


def _written(folder: Path) -> Iterator[Path]:
    # The database's own files are read as dumps; its password stands in one file, which its owner alone may read.
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).parts[:2] not in {
            ("postgres", "data"),
            ("postgres", "password"),
        }:
            yield path


def test_no_file_holds_a_secret(played: tuple[Path, dict[str, object]], secret: re.Pattern[bytes]) -> None:
    found = [path for path in _written(played[0]) if secret.search(path.read_bytes())]
    seen = {path.relative_to(played[0]).parts[0] for path in _written(played[0])}
    assert {"logs", "lake", "kafka", "checkpoints", "dagster", "run", "pages.html", "up.err"} <= seen
    assert found == []


def test_no_row_of_any_database_holds_a_secret(backup: Path, secret: re.Pattern[bytes]) -> None:
    for dump in sorted(backup.glob("*.dump")):
        told = subprocess.run([binary("pg_restore"), "--file=-", dump], capture_output=True, check=True).stdout
        assert b"COPY" in told
        assert not secret.search(told), dump.name
    assert not secret.search((backup / ROLES).read_bytes())
    with tarfile.open(backup / FILES) as archive:
        assert not [name for name in archive.getnames() if name.startswith("postgres")]


def test_the_password_is_its_owners_alone(played: tuple[Path, dict[str, object]]) -> None:
    assert (played[0] / "postgres" / "password").stat().st_mode & 0o077 == 0


def test_no_command_line_of_this_machine_shows_a_secret(secret: re.Pattern[bytes]) -> None:
    lines = (" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    assert not [line for line in lines if secret.search(line.encode())]
