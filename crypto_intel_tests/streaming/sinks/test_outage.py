"""PostgreSQL goes away and comes back; its password never shows."""

from __future__ import annotations

import io
import logging
import traceback
import uuid
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import structlog
from pydantic import SecretStr

from crypto_intel.stack.ports import free_port
from crypto_intel.stack.postgres import PostgresServer, migrate
from crypto_intel_tests.streaming.sinks.rows import KNOWN, alert, bar, frame, keys
from streaming.errors import FatalError, RetryableError, StreamingError
from streaming.sinks.connection import PostgresConnection
from streaming.sinks.postgres import PostgresSink, Upsert
from streaming.sinks.progress import ProgressRelay, ProgressRow, ProgressSink

CANARY = "canary/pass@word?Xy7"


def _bars(minute: int = 0) -> list[Upsert]:
    return [Upsert("bars_1m", frame("bars_1m", bar(minute)))]


@pytest.mark.stack
def test_a_server_that_stops_makes_batch_and_reports_wait_and_lose_nothing(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, free_port())
    with server.start() as running:
        running.wait_until_ready()
        migrate(server.dsn)
        sink = PostgresSink(SecretStr(server.dsn), query="live", epoch="1")
        assert sink.publish(0, _bars())
    relay = ProgressRelay(ProgressSink(SecretStr(server.dsn)))
    for batch_id in range(3):
        relay.tell(ProgressRow("live", batch_id, str(uuid.UUID(int=1)), {}, input_rows=10))
        assert relay.flush(30)
    for _ in range(2):
        with pytest.raises(RetryableError, match="not available"):
            sink.publish(1, _bars(1), alerts=[alert()], refresh_enriched=keys(1), known_at=KNOWN)
    with server.start() as running:
        running.wait_until_ready()
        assert sink.publish(1, _bars(1), alerts=[alert()], refresh_enriched=keys(1), known_at=KNOWN)
        assert not sink.publish(1, _bars(1))
        assert [alert_id for alert_id, _ in sink.pending_alerts()] == [alert().alert_id]
        sink.close()
        relay.tell(ProgressRow("live", 3, str(uuid.UUID(int=1)), {}, input_rows=10))
        assert relay.flush(30)
        with psycopg.connect(server.dsn) as other:
            found = other.execute("SELECT batch_id, rows_total FROM ops.stream_progress").fetchall()
    assert found == [(3, 40)]


@pytest.mark.stack
def test_a_session_that_is_killed_in_the_middle_of_a_batch_leaves_nothing(own_postgres_dsn: str) -> None:
    database = PostgresConnection(SecretStr(own_postgres_dsn), application="test")
    with psycopg.connect(own_postgres_dsn, autocommit=True) as other:
        with pytest.raises(RetryableError), database.transaction() as connection:
            connection.execute("INSERT INTO ops.sink_batches VALUES ('live', '1', 0)")
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
            connection.execute("SELECT 1")
        assert other.execute("SELECT count(*) FROM ops.sink_batches").fetchone() == (0,)
    with database.transaction() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    database.close()


@pytest.mark.stack
def test_a_row_that_somebody_holds_is_waited_for_within_bounds(
    own_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streaming.sinks import connection as module

    monkeypatch.setitem(module._LIMITS, "lock_timeout", "50ms")
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="live", epoch="1")
    sink.publish(0, _bars())
    with psycopg.connect(own_postgres_dsn) as holder:
        holder.execute("LOCK TABLE bars_1m")
        with pytest.raises(RetryableError, match="LockNotAvailable"):
            sink.publish(1, _bars())
        holder.rollback()
        assert sink.publish(1, _bars())
    sink.close()


def _everything_said(error: BaseException, *objects: object) -> str:
    text = "".join(traceback.format_exception(error))
    return text + repr(error) + "".join(repr(thing) for thing in objects)


@pytest.mark.parametrize(
    ("dsn", "kind"),
    [
        (f"postgresql://user:{quote(CANARY, safe='')}@127.0.0.1:9/db", RetryableError),
        (f"host=127.0.0.1 port=9 user=user password='{CANARY}'", RetryableError),
        (f"postgresql://user:{CANARY}@127.0.0.1:9/db", FatalError),  # not escaped: parts of it look like host and port
        (f"postgres//user:{CANARY}@127.0.0.1/db", FatalError),
        (f"postgresql://user:x:{CANARY.replace('/', '')}@host:port/db", FatalError),
        ("canaryword", FatalError),
    ],
)
def test_the_password_shows_nowhere(
    dsn: str, kind: type[StreamingError], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    sink = None
    with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught:
        sink = PostgresSink(SecretStr(dsn), query="live", epoch="1")
        sink.publish(0, _bars())
    structlog.reset_defaults()
    said = _everything_said(caught.value, sink, getattr(sink, "_database", None), vars(sink) if sink else None)
    said += log.getvalue() + caplog.text + "".join(capsys.readouterr())
    for part in ("canary", "pass@word", "word?", "Xy7"):
        assert part not in said


@pytest.mark.stack
def test_a_wrong_password_does_not_show_either(own_postgres_dsn: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(own_postgres_dsn)
    dsn = psycopg.conninfo.make_conninfo("", **{**parts, "password": CANARY})
    sink = PostgresSink(SecretStr(dsn), query="live", epoch="1")
    with pytest.raises(RetryableError, match="password authentication failed") as caught:
        sink.publish(0)
    assert "canary" not in _everything_said(caught.value, sink)


@pytest.mark.stack
def test_refused_rows_are_not_quoted(own_postgres_dsn: str) -> None:
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="live", epoch="1")
    rows = frame("bars_1m", bar(0, completeness=CANARY))
    with pytest.raises(FatalError, match="completeness_check") as caught:
        sink.publish(0, [Upsert("bars_1m", rows)])
    assert "canary" not in _everything_said(caught.value)
    sink.close()
