"""What the API may do in the database, whatever it is talked into: read, settle alerts, note acts; and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from crypto_intel.contracts.serving import OWNED, SERVED
from crypto_intel.serving import database as serving_database
from crypto_intel.serving.database import Database, UnavailableError
from crypto_intel.serving.queries import alerts, bars, config, macro, markets, news, predictions, trust
from crypto_intel.serving.queries.query import Query
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.postgres import PostgresSink

pytestmark = pytest.mark.stack

_WRITABLE = {("public", "alerts", "UPDATE"), ("public", "predictions", "INSERT"), ("ops", "alert_actions", "INSERT")}
_READABLE_OF_OURS = {
    "alert_actions",
    "alert_feed",
    "api_keys",
    "audit",
    "market_enriched_revisions",
    "notices",
    "retention",
    "stream_progress",
}


@pytest.fixture(scope="module")
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the owner to a migrated database."""
    with psycopg.connect(postgres_dsn, autocommit=True) as opened:
        yield opened


def test_its_rights_are_these_and_no_others(connection: psycopg.Connection) -> None:
    found = connection.execute(
        "SELECT n.nspname, c.relname, p.privilege FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, "
        "(VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) "
        "AS p(privilege) WHERE n.nspname IN ('public', 'ops') AND c.relkind IN ('r', 'p', 'v', 'm') "
        "AND (has_table_privilege('ci_api', c.oid, p.privilege) "
        "OR p.privilege IN ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege('ci_api', c.oid, p.privilege))"
    ).fetchall()
    assert {row for row in found if row[2] != "SELECT"} == _WRITABLE
    read = {(schema, name) for schema, name, right in found if right == "SELECT"}
    assert {name for schema, name in read if schema == "public"} == {*SERVED, *OWNED}
    assert {name for schema, name in read if schema == "ops"} == _READABLE_OF_OURS
    callable_ = connection.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, 'ops'::regnamespace) "
        "AND has_function_privilege('ci_api', oid, 'EXECUTE')"
    ).fetchall()
    assert callable_ == []


def test_of_an_alert_it_may_change_the_state_alone(connection: psycopg.Connection) -> None:
    connection.execute("SET ROLE ci_api")
    try:
        connection.execute("UPDATE public.alerts SET state = 'closed' WHERE false")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("UPDATE public.alerts SET message = 'x' WHERE false")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("UPDATE ops.alert_actions SET note = 'x' WHERE false")
    finally:
        connection.execute("RESET ROLE")


def test_a_read_cannot_write_even_what_the_role_may(own_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_database, "STATEMENT_S", 1)
    database = Database(SecretStr(own_postgres_dsn))
    try:
        with pytest.raises(errors.ReadOnlySqlTransaction):
            database.page(Query("evil", "UPDATE public.alerts SET state = 'closed' RETURNING alert_id", {}, ()))
        with pytest.raises(UnavailableError, match="took too long"):
            database.page(Query("slow", "SELECT pg_sleep(30)", {}, ()))
    finally:
        database.close()


_START, _END = sample.START, sample.KNOWN
_EVERY_QUERY = [
    bars.bars("1m", bars.Range("BTC-USDT")), bars.bars("1h", bars.Range("BTC-USDT", "binance", _START, _END)),
    bars.bars("1d", bars.Range("BTC-USDT", end=_END)), bars.enriched(bars.Range("BTC-USDT"), final_only=True),
    bars.as_of("BTC-USDT", "binance", _START, _END), bars.newest_bars(),
    bars.indicators("1h", bars.Range("BTC-USDT")), markets.symbols(), markets.prices(),
    markets.ranking("volume_24h_quote"), news.articles(news.NewsFilter("BTC", "a", 0, 1, _START, _END)),
    news.sentiment_by_hour("BTC", _START, _END), news.reaction("a"), alerts.alerts(alerts.AlertFilter("BTC-USDT")),
    alerts.alert("a"), alerts.alerts_after(0), alerts.newest_alerts(), alerts.actions("a"), alerts.enriched_of("a"),
    alerts.bars_of("a"), trust.gaps(trust.GapFilter(state="open")), trust.completeness(), trust.feeds(),
    trust.sources(), trust.streams(), trust.counts(), macro.series(), macro.observations("X", as_of=_START.date()),
    predictions.predictions(predictions.PredictionFilter("gru-1", "BTC-USDT", start=_START)),
    config.coins(), config.retention(), config.audit(config.AuditFilter("public.coins", "key:1", _START, _END)),
]  # fmt: skip


@pytest.mark.parametrize("query", _EVERY_QUERY, ids=lambda query: query.name)
def test_every_query_is_bounded_and_gives_the_columns_that_it_says(postgres_dsn: str, query: Query) -> None:
    assert "LIMIT" in query.statement
    with psycopg.connect(postgres_dsn) as connection:
        cursor = connection.execute(query.statement.encode(), query.params)
        assert cursor.description is not None
        types = {20: "bigint", 23: "int", 25: "string", 701: "double", 16: "boolean", 1082: "date", 1184: "timestamp",
                 1009: "array<string>"}  # fmt: skip
        assert [types[found.type_code] for found in cursor.description] == [column.type for column in query.columns]


def test_alerts_are_numbered_in_the_order_of_their_commits(own_postgres_dsn: str) -> None:
    first, second = (PostgresSink(SecretStr(own_postgres_dsn), query=name, epoch="e") for name in "ab")
    second.publish(1, alerts=[sample.alert("later")])
    first.publish(1, alerts=[sample.alert("latest"), sample.alert("later")])
    with psycopg.connect(own_postgres_dsn) as connection:
        found = connection.execute("SELECT alert_id FROM ops.alert_feed ORDER BY alert_seq").fetchall()
    assert found == [("later",), ("latest",)]
    first.close()
    second.close()


def test_revisions_are_forgotten_by_when_they_were_known(own_postgres_dsn: str) -> None:
    with psycopg.connect(own_postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO ops.market_enriched_revisions SELECT 'binance', 'BTC-USDT', now(), n, now() - n * interval "
            "'1 day', '{}' FROM generate_series(0, 9) n"
        )
        gone = connection.execute("SELECT ops.forget_revisions(now() - interval '5 days')").fetchone()
        left = connection.execute("SELECT count(*) FROM ops.market_enriched_revisions").fetchone()
    assert (gone, left) == ((4,), (6,))
