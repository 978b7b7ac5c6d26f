"""Rows reach PostgreSQL whole and once, and what the database keeps for itself stays kept."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from crypto_intel.contracts.serving import BARS_1M, MACRO_OBSERVATIONS, MARKET_ENRICHED
from crypto_intel.contracts.tables import GOLD_MARKET_ENRICHED
from crypto_intel.core.enrich import enrich
from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError
from crypto_intel.core.frames import conform
from crypto_intel.core.macro import parse_observations
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_changed, publish_rows, upsert
from crypto_intel_tests.crypto_intel.core.test_enrich import END, KNOWN_AT, NO_MACRO, bar, bars, news
from crypto_intel_tests.crypto_intel.lakes import article


def enriched(*rows: dict[str, Any]) -> pl.DataFrame:
    return enrich(bars(*rows), news(article("a", END), article("b", END)), NO_MACRO, known_at=KNOWN_AT)


@pytest.fixture
def postgres(own_postgres_dsn: str) -> Postgres:
    return Postgres(dsn=own_postgres_dsn)


def served(postgres: Postgres, columns: str = "close, is_final, revision, article_ids") -> list[tuple[Any, ...]]:
    with postgres.connect() as connection:
        query = f"SELECT {columns} FROM public.market_enriched ORDER BY venue, symbol, window_start"
        return connection.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]


@pytest.mark.stack
def test_rows_are_inserted_and_agree(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        done = upsert(connection, MARKET_ENRICHED, enriched(bar(), bar(END)))
    assert (done.given, done.changed, done.agrees) == (2, 2, True)
    assert served(postgres) == [(100.0, True, 1, ["a", "b"])] * 2


@pytest.mark.stack
def test_publishing_twice_changes_nothing(postgres: Postgres) -> None:
    for expected in (2, 0):
        with postgres.connect() as connection:
            done = upsert(connection, MARKET_ENRICHED, enriched(bar(), bar(END)))
        assert (done.changed, done.agrees) == (expected, True)


@pytest.mark.stack
def test_a_final_row_replaces_a_provisional_one_with_a_greater_revision(postgres: Postgres) -> None:
    provisional = enriched(bar(close=1.0)).with_columns(is_final=False, revision=pl.lit(7, pl.Int64))
    with postgres.connect() as connection:
        upsert(connection, MARKET_ENRICHED, provisional)
    with postgres.connect() as connection:
        upsert(connection, MARKET_ENRICHED, enriched(bar()))
    assert served(postgres, "close, is_final, revision") == [(100.0, True, 8)]


@pytest.mark.stack
def test_a_provisional_row_never_replaces_a_final_one_and_disagreement_is_told(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        upsert(connection, MARKET_ENRICHED, enriched(bar()))
    with postgres.connect() as connection:
        done = upsert(connection, MARKET_ENRICHED, enriched(bar(close=1.0)).with_columns(is_final=False))
    assert not done.agrees
    assert served(postgres, "close, is_final") == [(100.0, True)]


@pytest.mark.stack
def test_a_row_that_the_database_refuses_leaves_none_of_the_others(postgres: Postgres) -> None:
    rows = enriched(bar(), bar(END, completeness="partial"))
    planted = rows.with_columns(completeness=pl.Series(["complete", "nonsense"]))
    with pytest.raises(psycopg.errors.CheckViolation), postgres.connect() as connection:
        upsert(connection, MARKET_ENRICHED, planted)
    assert served(postgres) == []


@pytest.mark.stack
def test_values_come_back_as_they_were_given(postgres: Postgres) -> None:
    rows = enriched(bar(close=61556.789012345678, vwap=None))
    with postgres.connect() as connection:
        upsert(connection, MARKET_ENRICHED, rows)
        upsert(connection, BARS_1M, bars(bar(close=61556.789012345678)))
    columns = [name for name in GOLD_MARKET_ENRICHED.column_names if name != "event_hour"]
    read = pl.DataFrame(served(postgres, ", ".join(columns)), schema=columns, orient="row", infer_schema_length=None)
    again = conform(read.with_columns(event_hour=pl.lit("2024-08-08-22")), GOLD_MARKET_ENRICHED)
    assert again.equals(rows)


def test_a_database_that_is_not_named_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRYPTO_INTEL_POSTGRES_DSN", raising=False)
    monkeypatch.delenv("SUPABASE_DB_URL", raising=False)
    with pytest.raises(NotConfigured, match="CRYPTO_INTEL_POSTGRES_DSN"), Postgres().connect():
        pass


def test_a_database_that_does_not_answer_is_transient_and_its_password_is_not_shown() -> None:
    with (
        pytest.raises(TransientError) as failure,
        Postgres(dsn="postgresql://me:hidden@127.0.0.1:1/market").connect(),
    ):
        pass
    assert "hidden" not in str(failure.value)


def test_a_publication_is_repeated_when_the_database_is_away() -> None:
    away = Postgres(dsn="postgresql://me@127.0.0.1:1/market")
    with pytest.raises(dg.RetryRequested):
        publish_rows(away, MARKET_ENRICHED, enriched(bar()).lazy())


def test_a_malformed_uri_is_refused_without_repeating_it() -> None:
    with pytest.raises(PermanentError) as failure, Postgres(dsn="user hidden").connect():
        pass
    assert "hidden" not in str(failure.value)


def vintages(*rows: tuple[str, str, float, datetime]) -> pl.LazyFrame:
    """Rows of macro.fred_observations: series, first day of the vintage, value, when it was fetched."""
    told = {"date": "2024-07-01", "realtime_end": "9999-12-31"}
    frames = [
        parse_observations(series, [{**told, "value": str(value), "realtime_start": day}], at)
        for series, day, value, at in rows
    ]
    return pl.concat(frames).lazy()


@pytest.mark.stack
def test_only_groups_that_changed_are_published_again(own_postgres_dsn: str) -> None:
    postgres, at = Postgres(dsn=own_postgres_dsn), datetime(2024, 8, 1, tzinfo=UTC)

    def publish(rows: pl.LazyFrame) -> tuple[Any, ...]:
        result = publish_changed(postgres, MACRO_OBSERVATIONS, rows, by="series_id", changed_at="fetched_at")
        return tuple(result.metadata[name] for name in ("groups_published", "rows_changed", "agrees_with_lake"))

    first = (("GDP", "2024-07-30", 1.0, at), ("DGS10", "2024-07-02", 4.0, at))
    assert publish(vintages(*first)) == (2, 2, True)
    assert publish(vintages(*first)) == (0, 0, True)
    revised = (*first, ("GDP", "2024-08-29", 2.0, at.replace(day=30)))
    assert publish(vintages(*revised)) == (1, 1, True)
