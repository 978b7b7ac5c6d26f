"""Alerts with what people did with them, and their lineage down to the bars that raised them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crypto_intel.contracts.serving import ALERT_RULES, ALERTS, MARKET_ENRICHED
from crypto_intel.serving.queries.query import Order, Query, Select, column, pick

ALERT_COLUMNS = (
    *ALERTS.columns,
    column("alert_seq", "bigint", "Number in the order in which alerts were committed."),
    column("judged_right", "bigint", "How often people said that it was right."),
    column("judged_wrong", "bigint", "How often people said that it was wrong."),
)
ACTION_COLUMNS = (
    column("action", "string", "acknowledged or closed: the state it got; right or wrong: a judgement."),
    column("actor", "string", "Who: key:<key id> or user:<subject>."),
    column("note", "string", "In their words; may be empty."),
    column("acted_at", "timestamp", "When."),
)
_SOURCE = """(
  SELECT a.*, f.alert_seq,
    (SELECT count(*) FROM ops.alert_actions x WHERE x.alert_id = a.alert_id AND x.action = 'right') AS judged_right,
    (SELECT count(*) FROM ops.alert_actions x WHERE x.alert_id = a.alert_id AND x.action = 'wrong') AS judged_wrong
  FROM public.alerts a JOIN ops.alert_feed f USING (alert_id)
) alerts"""


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts, raised in [start, end)."""

    symbol: str | None = None
    venue: str | None = None
    state: str | None = None
    severity: str | None = None
    rule: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "desc"
    limit: int = 100
    cursor: str | None = None


def alerts(wanted: AlertFilter) -> Query:
    """Alerts by the time they were raised."""
    select = Select("alerts", ALERT_COLUMNS, _SOURCE)
    for name in ("symbol", "venue", "state", "severity", "rule"):
        select = select.filter_given(f"{name} = %({name})s", **{name: getattr(wanted, name)})
    select = select.filter_given("raised_at >= %(start)s", start=wanted.start)
    select = select.filter_given("raised_at < %(end)s", end=wanted.end)
    return select.keyset(("raised_at", "alert_id"), order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)


def alert(alert_id: str) -> Query:
    """One alert."""
    select = Select("alert", ALERT_COLUMNS, _SOURCE).filter("alert_id = %(alert_id)s", alert_id=alert_id)
    return Query("alert", select.text("LIMIT 1"), select.params, ALERT_COLUMNS)


def alerts_after(alert_seq: int, limit: int = 1_000) -> Query:
    """Alerts behind a number, in the order of their commits: what a follower has not seen."""
    select = Select("alerts_after", ALERT_COLUMNS, _SOURCE).filter("alert_seq > %(seq)s", seq=alert_seq)
    return Query("alerts_after", select.text(f"ORDER BY alert_seq LIMIT {limit:d}"), select.params, ALERT_COLUMNS)


def newest_alerts(limit: int = 50) -> Query:
    """The last alerts by the order of their commits, newest first."""
    text = Select("newest_alerts", ALERT_COLUMNS, _SOURCE).text(f"ORDER BY alert_seq DESC LIMIT {limit:d}")
    return Query("newest_alerts", text, {}, ALERT_COLUMNS)


def actions(alert_id: str) -> Query:
    """What people did with an alert, in order."""
    select = Select("actions", ACTION_COLUMNS, "ops.alert_actions").filter("alert_id = %(id)s", id=alert_id)
    return Query("actions", select.text("ORDER BY action_id LIMIT 1000"), select.params, ACTION_COLUMNS)


def rules() -> Query:
    """The alert rules in force, by name."""
    select = Select("rules", ALERT_RULES.columns, "public.alert_rules")
    return Query("rules", select.text("ORDER BY rule LIMIT 1000"), {}, ALERT_RULES.columns)


def delivery_of(alert_id: str) -> Query:
    """When an alert was written with its batch, and when Kafka had it; for the database's owner alone."""
    columns = (
        column("created_at", "timestamp", "Wall clock at which the batch that raised it was written."),
        column("published_at", "timestamp", "Wall clock at which Kafka had acknowledged it.", nullable=True),
    )
    select = Select("delivery_of", columns, "ops.alert_outbox").filter("alert_id = %(alert_id)s", alert_id=alert_id)
    return Query("delivery_of", select.text("LIMIT 1"), select.params, columns)


def enriched_of(alert_id: str) -> Query:
    """The enriched rows of the minutes that an alert's window spans; at most a day of them."""
    names = ", ".join(f"e.{name}" for name in MARKET_ENRICHED.column_names)
    statement = f"""
      SELECT {names} FROM public.alerts a JOIN public.market_enriched e
        ON e.venue = a.venue AND e.symbol = a.symbol AND e.window_start < a.window_end
          AND e.window_start > a.window_start - interval '1 minute'
      WHERE a.alert_id = %(alert_id)s ORDER BY e.window_start LIMIT 1440"""  # noqa: S608 - constants
    return Query("enriched_of", statement, {"alert_id": alert_id}, MARKET_ENRICHED.columns)


def bars_of(alert_id: str) -> Query:
    """The streamed 1-minute bars that an alert's window spans; columns that lead on to bronze."""
    columns = pick(
        MARKET_ENRICHED.columns, "venue", "symbol", "window_start", "window_end", "close", "trade_count",
        "first_trade_id", "last_trade_id", "coverage_pct", "completeness", "completeness_reason",
    )  # fmt: skip
    names = ", ".join(f"b.{found.name}" for found in columns)
    statement = f"""
      SELECT {names} FROM public.alerts a JOIN public.bars_1m b
        ON b.venue = a.venue AND b.symbol = a.symbol AND b.window_start < a.window_end
          AND b.window_start > a.window_start - interval '1 minute'
      WHERE a.alert_id = %(alert_id)s ORDER BY b.window_start LIMIT 1440"""  # noqa: S608 - constants
    return Query("bars_of", statement, {"alert_id": alert_id}, columns)
