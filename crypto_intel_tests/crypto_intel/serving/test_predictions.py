"""Predictions are dated by the database, written once, and seen by their owner alone, whatever way they come."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors

from crypto_intel.resources.retention import apply_retention
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack
NOW = sample.START + timedelta(hours=1)
_ADD = (
    "INSERT INTO predictions (model, venue, symbol, measure, target_at, value) "
    "VALUES (%s, 'binance', 'BTC-USDT', %s, %s, %s)"
)


@pytest.fixture(scope="module")
def shared_dsn(postgres_dsn: str) -> str:
    """A migrated database that these tests share: each rolls back what it did."""
    dsn = ensure_database(postgres_dsn, f"predictions_{uuid.uuid4().hex[:8]}")
    migrate(dsn)
    return dsn


@pytest.fixture
def database(shared_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the owner to a database whose newest trade is of `NOW`; nothing of it lasts."""
    with psycopg.connect(shared_dsn) as connection:
        connection.execute("SELECT 1")  # opens the transaction that the rest joins
        upsert_frame(connection, "live_markets", sample.frame("live_markets", sample.live(1.0, 3_600)))
        yield connection
        connection.rollback()


@contextmanager
def _user(connection: psycopg.Connection, subject: str | None) -> Iterator[psycopg.Connection]:
    """As PostgREST does for a user's token (None: without one)."""
    with connection.transaction():
        connection.execute("SET LOCAL ROLE authenticated")
        claims = json.dumps({"role": "authenticated", **({"sub": subject} if subject else {})})
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
        yield connection
        connection.execute("RESET ROLE")


def _add(
    connection: psycopg.Connection, value: float = 1.0, model: str = "m", measure: str = "price", minutes: int = 5
) -> None:
    connection.execute(_ADD, (model, measure, NOW + timedelta(minutes=minutes), value))


def test_a_prediction_is_dated_by_the_newest_trade_and_has_its_owner(database: psycopg.Connection) -> None:
    with _user(database, "ann") as ann:
        _add(ann)
        found = ann.execute("SELECT owner, predicted_at, recorded_at > now() - interval '1 minute' FROM predictions")
        assert found.fetchall() == [("user:ann", NOW, True)]


def test_of_500_predictions_of_another_none_is_seen(database: psycopg.Connection) -> None:
    with _user(database, "bob") as bob:
        for number in range(500):
            _add(bob, number, f"m-{number}")
        assert bob.execute("SELECT count(*) FROM predictions").fetchone() == (500,)
    with _user(database, "ann") as ann:
        seen = [
            ann.execute("SELECT count(*) FROM predictions WHERE model = %s", (f"m-{number}",)).fetchone()
            for number in random.Random(7).sample(range(500), 500)
        ]
    assert set(seen) == {(0,)}
    for role in ("ci_reader", "ci_writer", "anon"):
        with pytest.raises(errors.InsufficientPrivilege), database.transaction():
            database.execute(f"SET LOCAL ROLE {role}")
            database.execute("SELECT 1 FROM predictions")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO predictions (owner, model, venue, symbol, measure, target_at, value) "
        "VALUES ('user:bob', 'm', 'binance', 'BTC-USDT', 'price', '2099-01-01Z', 1)",
        "INSERT INTO predictions (predicted_at, model, venue, symbol, measure, target_at, value) "
        "VALUES ('2020-01-01Z', 'm', 'binance', 'BTC-USDT', 'price', '2020-01-02Z', 1)",
        "UPDATE predictions SET value = 2",
        "DELETE FROM predictions",
    ],
)
def test_nobody_writes_for_another_dates_back_or_changes(database: psycopg.Connection, statement: str) -> None:
    with _user(database, "ann") as ann:
        _add(ann)
        with pytest.raises(errors.InsufficientPrivilege), ann.transaction():
            ann.execute(statement.encode())


def test_without_a_subject_nothing_is_written_or_seen(database: psycopg.Connection) -> None:
    with _user(database, "bob") as bob:
        _add(bob)
    with _user(database, None) as nobody:
        assert nobody.execute("SELECT count(*) FROM predictions").fetchone() == (0,)
        with pytest.raises((errors.InsufficientPrivilege, errors.NotNullViolation)), nobody.transaction():
            _add(nobody)
    with database.transaction():
        database.execute("SET LOCAL ROLE ci_api")  # and nobody let in
        assert database.execute("SELECT count(*) FROM predictions").fetchone() == (0,)
        database.execute("RESET ROLE")


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"minutes": 0}, "must lie after 2026-11-20T13:00:00Z"),
        ({"minutes": -60}, "must lie after"),
        ({"measure": "up_probability", "value": 1.5}, "between 0 and 1"),
        ({"value": float("nan")}, "value"),
        ({"measure": "luck"}, "measure"),
        ({"model": "a b"}, "model"),
    ],
)
def test_what_has_happened_or_does_not_fit_is_refused(
    database: psycopg.Connection, wrong: dict[str, object], word: str
) -> None:
    with (
        _user(database, "ann") as ann,
        pytest.raises((errors.InvalidParameterValue, errors.CheckViolation), match=word),
        ann.transaction(),
    ):
        _add(ann, **wrong)  # type: ignore[arg-type]


def test_an_owner_has_a_bound_a_day_and_another_is_not_held_up(database: psycopg.Connection) -> None:
    many = (
        "INSERT INTO predictions (model, venue, symbol, measure, target_at, value) SELECT 'm' || n, 'binance', "
        "'BTC-USDT', 'price', '2099-01-01Z', 1 FROM generate_series(1, 100000) n"
    )
    with _user(database, "bob") as bob:
        bob.execute(many)
        with pytest.raises(errors.ProgramLimitExceeded), bob.transaction():
            _add(bob)
    with _user(database, "ann") as ann:
        _add(ann)


def test_they_are_kept_for_a_year(database: psycopg.Connection) -> None:
    for subject in ("old", "young"):
        with _user(database, subject) as user:
            _add(user)
    back = {"old": 366, "young": 364}
    for subject, days in back.items():
        database.execute(
            "UPDATE predictions SET predicted_at = %s WHERE owner = %s", (NOW - timedelta(days=days), f"user:{subject}")
        )
    dropped = {found.table: found.rows for found in apply_retention(database)}
    assert dropped["public.predictions"] == 1
    assert database.execute("SELECT owner FROM predictions").fetchall() == [("user:young",)]
