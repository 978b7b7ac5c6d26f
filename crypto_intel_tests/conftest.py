"""Fixtures that all tests share: real servers, started once a session on free ports and stopped by their own handles.

A server starts when the first test asks for it. Tests that share one keep apart by names of their own: topics
(`own_topics`) and databases (`own_postgres_dsn`). Runs of minutes go on beside tests of other things (`background`).
"""

from __future__ import annotations

import gc
import os
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import xdist
from hypothesis import HealthCheck, settings
from psycopg import sql
from xdist.remote import Producer

from crypto_intel.contracts.settings import Topics
from crypto_intel.stack import java
from crypto_intel.stack.jars import Jars, default_folder, resolve_jars
from crypto_intel.stack.kafka import KafkaServer, create_topics
from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, ensure_database, migrate, with_database
from crypto_intel.stack.valkey import ValkeyServer
from crypto_intel_tests.helpers.background import RUNS, Background
from crypto_intel_tests.helpers.sharing import Sharing, arrange, awaited

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# A machine that does other work too must not fail a property: how long examples take is for benchmarks. Others are
# drawn each time; where a change is judged (CI is set) the same ones, so that it passes or fails by what it changes.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the golden files instead of comparing with them."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew (make golden)")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """With `-n`, tests are shared out as helpers/sharing.py says."""
    return Sharing(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is imported is garbage: to look for some took a quarter of the collection's time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """In one process tests that wait for a run come last; shared out, they come first."""
    arrange(items, are_shared=xdist.is_xdist_worker(session))


@pytest.fixture(scope="session")
def background(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    """Runs of runs.py; those that a collected test waits for begin now. Stopped at the session's end."""
    wanted = {name for item in request.session.items for name in awaited(item)}
    command = [sys.executable, "-m", "crypto_intel_tests.runs"]
    with Background(command, tmp_path_factory.mktemp("background")) as runs:
        for name in RUNS:
            if name in wanted:
                runs.begin(name)
        yield runs


@pytest.fixture(scope="session", autouse=True)
def runs_begin_early(request: pytest.FixtureRequest) -> None:
    """In one process runs begin before the first test; shared out, with the first test that waits for one."""
    if not xdist.is_xdist_worker(request):
        request.getfixturevalue("background")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text is the one of crypto_intel_tests/golden/<name>; `make golden` writes it anew."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).resolve().parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {path}; `make golden` writes it"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(repo_root: Path) -> Path:
    """Folder of recordings of real venues; tests that need them are skipped where it is absent."""
    folder = Path(os.environ.get("CRYPTO_INTEL_SHARED_DATA") or repo_root.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (CRYPTO_INTEL_SHARED_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def java_home() -> Path:
    """Home of a Java that Spark and Kafka run on."""
    return java.find_java_home()


@pytest.fixture(scope="session")
def jars(java_home: Path) -> Jars:
    """The JVM jars, fetched on the first use."""
    return resolve_jars(default_folder(), java_home)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory, java_home: Path, jars: Jars) -> Iterator[str]:
    """host:port of a real broker without topics."""
    port = free_port()
    broker = KafkaServer(tmp_path_factory.mktemp("kafka"), port, free_port({port}), java_home, jars)
    with broker.start() as server:
        server.wait_until_ready()
        yield broker.bootstrap
        server.stop(timeout_s=0)  # nobody reads its hundreds of topics any more: to flush them takes it half a minute


@pytest.fixture
def own_topics(kafka_bootstrap: str) -> Topics:
    """The contract's topics under names that no other test has, created with 3 partitions."""
    mark = uuid.uuid4().hex[:8]
    topics = Topics(**{field: f"{name}_{mark}" for field, name in Topics().model_dump().items()})
    create_topics(kafka_bootstrap, topics.all)
    return topics


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """libpq URI of a real PostgreSQL with all migrations applied; shared by the session's tests."""
    database = PostgresServer(tmp_path_factory.mktemp("postgres"), free_port())
    with database.start() as server:
        server.wait_until_ready()
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            # Its files need not outlive the machine: a hundred databases would else be flushed to the disk at its stop.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        migrate(database.dsn)
        yield database.dsn


@pytest.fixture(scope="session")
def postgres_template(postgres_dsn: str) -> str:
    """Name of a migrated database that nobody is connected to: to copy it takes a tenth of migrating anew."""
    name = "template_of_tests"
    migrate(ensure_database(postgres_dsn, name))
    return name


@pytest.fixture
def own_postgres_dsn(postgres_dsn: str, postgres_template: str) -> str:
    """libpq URI of a new, migrated database that no other test has."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(postgres_template))
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(copy)
    return with_database(postgres_dsn, name)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """redis:// URL of a real Redis-compatible server."""
    cache = ValkeyServer(tmp_path_factory.mktemp("valkey"), free_port())
    with cache.start() as server:
        server.wait_until_ready()
        yield cache.url


@pytest.fixture(scope="session")
def spark(java_home: Path, jars: Jars, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The platform's own Spark session, with Delta and Kafka connectors."""
    builder = pytest.importorskip("streaming.spark")
    settings = pytest.importorskip("streaming.settings")
    os.environ["JAVA_HOME"] = str(java_home)
    jar_settings = settings.Spark(jars=jars.spark, driver_memory="1g")
    session = builder.build_session(
        settings.StreamingSettings(spark=jar_settings, data_dir=tmp_path_factory.mktemp("spark")), "tests"
    )
    yield session
    session.stop()
