"""`crypto-intel trace`: from an alert back to the Kafka records that it rests on, with the time of each hop.

What belongs here: gathering and showing. The reads are those of the API's /lineage (crypto_intel.serving).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.options import DataDirOption, SourceOption, folder_of

if TYPE_CHECKING:
    from crypto_intel.serving.queries.query import Query

SHOWN_BARS = 12
"""Of a long window the newest ones; --json has all."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Trace:
    """What an alert rests on, hop by hop. `trades` and `news` are None where the lake cannot be read from here."""

    alert: dict[str, Any]
    delivery: Rows = field(default_factory=list)
    enriched: Rows = field(default_factory=list)
    bars: Rows = field(default_factory=list)
    trades: Rows | None = None
    news: Rows | None = None


def trace(
    alert_id: Annotated[str, typer.Argument(help="As `status`, the API and the alerts topic tell it.")],
    source: SourceOption = None,
    data_dir: DataDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Show the way back: alert, enriched rows, bars, and bronze rows with topic, partition, offset and times.

    Works on the stack of a data folder while it runs; without one, on the database and lake that the settings name.
    """
    dsn, lake = _where(source, data_dir)
    found = follow(dsn, lake, alert_id)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
    else:
        typer.echo("\n".join(lines(found)))


def follow(dsn: SecretStr, lake: str, alert_id: str) -> Trace:
    """Everything behind an alert.

    Raises:
        StackError: there is no such alert, or the database does not answer.
    """
    import psycopg

    from crypto_intel.serving.queries import alerts

    try:
        with psycopg.connect(
            dsn.get_secret_value(), connect_timeout=5, options="-c default_transaction_read_only=on -c timezone=UTC"
        ) as connection:
            known = _rows(connection, alerts.alert(alert_id))
            if not known:
                raise StackError(f"there is no alert {alert_id}", "`crypto-intel status` and /api/v1/alerts list them")
            asked = (alerts.delivery_of, alerts.enriched_of, alerts.bars_of)
            delivery, enriched, bars = (_rows(connection, query(alert_id)) for query in asked)
    except psycopg.OperationalError as error:
        raise StackError(f"the database does not answer: {type(error).__name__}", "is the stack up?") from None
    return Trace(known[0], delivery, enriched, bars, *_bronze(lake, known[0]))


def _bronze(lake: str, alert: dict[str, Any]) -> tuple[Rows | None, Rows | None]:
    from crypto_intel.serving.lineage import LakeUnreadableError, Span, news_records, trade_records

    span = Span(alert["venue"], alert["symbol"], alert["window_start"], alert["window_end"])
    try:
        trades = trade_records(lake, span)
        ids = alert["article_ids"]
        return trades, news_records(lake, ids, before=alert["window_end"]) if ids else []
    except LakeUnreadableError:
        return None, None


def _rows(connection: Any, query: Query) -> Rows:
    found = connection.execute(query.statement, query.params).fetchall()
    return [dict(zip(query.column_names, row, strict=True)) for row in found]


def _where(source: Any, data_dir: Any) -> tuple[SecretStr, str]:
    from crypto_intel.stack.parts import serving_dsn
    from crypto_intel.stack.postgres import PostgresServer
    from crypto_intel.stack.settings import load_settings

    settings, folder = load_settings(), folder_of(source, data_dir)
    state = folder.read()
    if state is not None:
        local = PostgresServer(folder.root / "postgres", state.ports["postgres"]).dsn
        dsn = serving_dsn(state.source, local, settings)
        return SecretStr(dsn), settings.lake or str(folder.root / "lake")
    if settings.postgres_dsn is None:
        raise StackError(f"no stack has run on {folder.root}", "name its folder, or set CRYPTO_INTEL_POSTGRES_DSN")
    return settings.postgres_dsn, settings.lake_root


# --- text ------------------------------------------------------------------------------------------------------------


def lines(found: Trace) -> Iterator[str]:
    """The way back, a hop a line or more."""
    yield from _alert_lines(found)
    yield from _enriched_lines(found.enriched)
    yield from _bar_lines(found.bars)
    yield from _trade_lines(found.trades)
    yield from _news_lines(found.news)


def _alert_lines(found: Trace) -> Iterator[str]:
    alert = found.alert
    yield f"alert     {alert['alert_id']}"
    yield f"          {alert['message']} ({alert['severity']}, {alert['state']})"
    measured = f"{alert['value']:g} {alert['unit']} against {alert['threshold']:g}"
    yield f"          window {_span(alert['window_start'], alert['window_end'])}: {measured}"
    yield f"          raised {_time(alert['raised_at'])} (platform clock)"
    for row in found.delivery:
        taken = _time(row["published_at"]) if row["published_at"] else "not yet"
        yield f"          written {_time(row['created_at'])}, in Kafka {taken} (wall clock)"


def _enriched_lines(rows: Rows) -> Iterator[str]:
    yield f"enriched  {len(rows)} rows of market_enriched{'' if rows else ': the window is still open'}"
    for row in rows[-1:]:
        state = "final" if row["is_final"] else "provisional"
        known = _time(row["known_at"])
        yield f"          newest {_time(row['window_start'])}: revision {row['revision']}, {state}, known at {known}"


def _bar_lines(rows: Rows) -> Iterator[str]:
    more = f", the newest {SHOWN_BARS}" if len(rows) > SHOWN_BARS else ""
    yield f"bars      {len(rows)} rows of bars_1m{more}{'' if rows else ': the minute is still open'}"
    for row in rows[-SHOWN_BARS:]:
        ids = f"ids {row['first_trade_id']} to {row['last_trade_id']}" if row["first_trade_id"] else "no trades"
        whole = f"{row['coverage_pct']:g} % {row['completeness']}"
        traded = f"close {row['close']}  {row['trade_count']} trades, {ids}"
        yield f"          {_time(row['window_start'])}  {traded}, {whole}"


def _trade_lines(rows: Rows | None) -> Iterator[str]:
    if rows is None:
        yield "bronze    the lake cannot be read from here"
    for row in rows or ():
        place = f"{row['topic']}[{row['partition']}]"
        yield f"bronze    {place} offsets {row['first_offset']} to {row['last_offset']}: {row['records']} trades"
        for name, clock in (("at the venue", "event_time"), ("received", "received_at"), ("in Kafka", "kafka_time")):
            yield f"          {name:12} {_span(row[f'first_{clock}'], row[f'last_{clock}'])}"
    if rows == []:
        yield "bronze    no trades of the window"


def _news_lines(rows: Rows | None) -> Iterator[str]:
    for row in rows or ():
        place = f"{row['kafka_topic']}[{row['kafka_partition']}] offset {row['kafka_offset']}"
        yield f"news      {place}: {row['title']} ({row['article_id']})"
        seen, taken = _time(row["first_seen_at"]), _time(row["kafka_time"])
        yield f"          published {_time(row['published_at'])}, first seen {seen}, in Kafka {taken}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _span(start: datetime, end: datetime) -> str:
    same_day = start.date() == end.date()
    return f"{_time(start)} to {_time(end)[11:] if same_day else _time(end)}"
