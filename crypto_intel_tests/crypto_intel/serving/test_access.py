"""Who may see and change what: row level security on everything exposed, nothing for those without a login."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql

from crypto_intel.contracts.serving import OWNED, SERVED
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack

_READERS = ("authenticated", "service_role", "ci_reader", "ci_writer")
_FUNCTIONS = {
    "SELECT public.refresh_market_enriched('[]', now())",
    "SELECT public.record_gaps('[]')",
}


@pytest.fixture(scope="module")
def shared_dsn(postgres_dsn: str) -> str:
    """A migrated database that these tests share: each rolls back what it did."""
    dsn = ensure_database(postgres_dsn, f"access_{uuid.uuid4().hex[:8]}")
    migrate(dsn)
    return dsn


@pytest.fixture
def database(shared_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the owner, to a database with a bar in it; nothing of it lasts."""
    with psycopg.connect(shared_dsn) as connection:
        connection.execute("SELECT 1")  # opens the transaction that the rest joins
        upsert_frame(connection, "bars_1m", sample.frame("bars_1m", sample.bar()))
        yield connection
        connection.rollback()


def _as(connection: psycopg.Connection, role: str, statement: str | sql.Composed) -> int:
    """Rows that the statement gave or touched, under the role."""
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        return connection.execute(statement).rowcount  # type: ignore[arg-type]


def test_row_level_security_is_on_for_everything_exposed(database: psycopg.Connection) -> None:
    without = database.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm', 'f') "
        "AND NOT relrowsecurity"
    ).fetchall()
    views = database.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v' "
        "AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)"
    ).fetchall()
    assert (without, views) == ([], [])


@pytest.mark.parametrize("table", SERVED | OWNED)
def test_anon_can_do_nothing(database: psycopg.Connection, table: str) -> None:
    column = (SERVED | OWNED)[table].column_names[0]
    for statement in (
        f"SELECT * FROM public.{table}",
        f"INSERT INTO public.{table} DEFAULT VALUES",
        f"UPDATE public.{table} SET {column} = {column}",
        f"DELETE FROM public.{table}",
        f"TRUNCATE public.{table}",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            _as(database, "anon", statement)


@pytest.mark.parametrize("role", ["authenticated", "ci_reader"])
@pytest.mark.parametrize("table", SERVED)
def test_readers_change_nothing(database: psycopg.Connection, role: str, table: str) -> None:
    column = SERVED[table].column_names[0]
    for statement in (
        f"INSERT INTO public.{table} DEFAULT VALUES",
        f"UPDATE public.{table} SET {column} = {column}",
        f"DELETE FROM public.{table}",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            _as(database, role, statement)


@pytest.mark.parametrize("role", _READERS)
def test_readers_see_rows(database: psycopg.Connection, role: str) -> None:
    assert _as(database, role, "SELECT * FROM public.bars_1m") == 1


@pytest.mark.parametrize("role", ["service_role", "ci_writer"])
def test_writers_write(database: psycopg.Connection, role: str) -> None:
    assert _as(database, role, "UPDATE public.bars_1m SET close = 1") == 1
    assert _as(database, role, "DELETE FROM public.bars_1m") == 1
    for statement in _FUNCTIONS:
        assert _as(database, role, statement) == 1


@pytest.mark.parametrize("role", ["anon", "authenticated", "ci_reader"])
def test_only_writers_call_functions(database: psycopg.Connection, role: str) -> None:
    for statement in _FUNCTIONS:
        with pytest.raises(errors.InsufficientPrivilege):
            _as(database, role, statement)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_platforms_own_tables_are_hidden(database: psycopg.Connection, role: str) -> None:
    names = database.execute("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'ops'::regnamespace "
                             "AND relkind = 'r'").fetchall()  # fmt: skip
    assert names
    for (name,) in names:
        with pytest.raises(errors.InsufficientPrivilege):
            _as(database, role, f"SELECT * FROM {name}")


def test_a_migration_runners_own_tables_are_hidden(database: psycopg.Connection) -> None:
    for role in ("anon", "authenticated"):
        with pytest.raises(errors.InsufficientPrivilege):
            _as(database, role, "SELECT * FROM public._yoyo_migration")


def test_no_role_of_ours_can_log_in_or_is_a_superuser(database: psycopg.Connection) -> None:
    roles = database.execute(
        "SELECT rolname FROM pg_roles WHERE rolname ~ '^ci_|^anon$|^authenticated$|^service_role$' "
        "AND (rolcanlogin OR rolsuper)"
    ).fetchall()
    assert roles == []


@pytest.fixture
def project_dsn(postgres_dsn: str) -> str:
    """A database as a Supabase project has it: its owner is no superuser, and public is open by default."""
    name = f"project_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'owner'")
        connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    place = psycopg.conninfo.conninfo_to_dict(postgres_dsn)
    dsn = f"postgresql://{name}:owner@{place['host']}:{place['port']}/{name}"
    with psycopg.connect(dsn) as connection:
        for kind in ("TABLES", "FUNCTIONS", "SEQUENCES"):
            connection.execute(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO anon, authenticated, service_role"
            )
    return dsn


def test_a_project_that_opens_public_by_default_stays_closed(project_dsn: str, folder: Path) -> None:
    with psycopg.connect(project_dsn) as connection:
        for path in sorted(folder.glob("*.sql")):
            connection.execute(path.read_text())  # type: ignore[arg-type]
        open_to = connection.execute(
            "SELECT c.relname, r.rolname, p.privilege FROM pg_class c, "
            "  (VALUES ('anon'), ('authenticated')) AS r(rolname), "
            "  (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER')) AS p(privilege) "
            "WHERE c.relnamespace IN ('public'::regnamespace, 'ops'::regnamespace, 'partitions'::regnamespace) "
            "AND c.relkind IN ('r', 'p') "
            "AND has_table_privilege(r.rolname, c.oid, p.privilege)"
        ).fetchall()
        callable_by = connection.execute(
            "SELECT p.proname FROM pg_proc p, (VALUES ('anon'), ('authenticated')) AS r(rolname) "
            "WHERE p.pronamespace = 'public'::regnamespace AND has_function_privilege(r.rolname, p.oid, 'EXECUTE')"
        ).fetchall()
    assert set(open_to) == {(table, "authenticated", "SELECT") for table in SERVED | OWNED}
    assert callable_by == []
