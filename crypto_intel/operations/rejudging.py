"""Alerts of an hour judged again: read from PostgreSQL, judged on the lake, and told in PostgreSQL.

What belongs here: reading and telling. What does not: the judgement (core/verdicts.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import polars as pl
from psycopg import sql
from psycopg.rows import dict_row

from crypto_intel.contracts.rules import INCIDENT, PLATFORM
from crypto_intel.contracts.serving import ALERTS
from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_NEWS, BRONZE_TRADES
from crypto_intel.core.hours import HOUR
from crypto_intel.core.trades import one_per_id
from crypto_intel.core.verdicts import Verdict, judge_again, reach
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from streaming.transforms.from_bronze import news_items
from streaming.transforms.rules import NewsItem

Judged = tuple[dict[str, Any], Verdict]

MAX_ALERTS = 5_000
"""Of an hour: rules have cool-downs, so more would be a rule that has gone wild."""

_NEWS_REACH = timedelta(days=2)
_SETTLE = """
UPDATE public.alerts SET
  verdict = %(verdict)s, verdict_value = %(value)s, verdict_at = %(at)s,
  state = CASE
    WHEN %(ends)s AND state IN ('open', 'acknowledged') THEN 'resolved'
    WHEN NOT %(ends)s AND verdict = 'withdrawn' AND state = 'resolved' THEN 'open'
    ELSE state END,
  resolved_at = CASE
    WHEN %(ends)s THEN coalesce(resolved_at, %(at)s)
    WHEN verdict = 'withdrawn' THEN NULL
    ELSE resolved_at END
WHERE alert_id = %(alert_id)s
  AND ((verdict, verdict_value) IS DISTINCT FROM (%(verdict)s, %(value)s) OR (%(ends)s AND resolved_at IS NULL))
"""


def alerts_of_hour(postgres: Postgres, hour: datetime) -> list[dict[str, Any]]:
    """Rows of public.alerts about markets whose window ends within the hour (its end included), by time."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in ALERTS.column_names)
    query = sql.SQL(
        "SELECT {} FROM public.alerts WHERE venue <> %s AND window_end > %s AND window_end <= %s "
        "ORDER BY window_end, alert_id LIMIT %s"
    ).format(names)
    with postgres.connect() as connection, connection.cursor(row_factory=dict_row) as rows:
        return rows.execute(query, (PLATFORM, hour, hour + HOUR, MAX_ALERTS)).fetchall()


def judge_alerts(lake: Lake, alerts: Sequence[dict[str, Any]]) -> list[Judged]:
    """Judge alerts again, each on the trades of its market that are in the lake now."""
    if not alerts:
        return []
    spans = [reach(alert) for alert in alerts]
    trades = trades_between(lake, min(span[0] for span in spans), max(span[1] for span in spans))
    by_market = trades.partition_by("venue", "symbol", as_dict=True)
    news = _news(lake, alerts)
    judged = []
    for alert, (since, until) in zip(alerts, spans, strict=True):
        own = by_market.get((alert["venue"], alert["symbol"]), trades.clear())
        within = own.filter(pl.col("event_time").is_between(since, until, closed="left"))
        about = [news[name] for name in alert["article_ids"] if name in news]
        judged.append((alert, judge_again(alert, within, about)))
    return judged


def trades_between(lake: Lake, since: datetime, until: datetime) -> pl.DataFrame:
    """Rows of bronze.trades in [since, until), one per trade id, the streamed one before the one from REST."""
    within = pl.col("event_date").is_between(since.date(), until.date())
    found = lake.scan(BRONZE_TRADES).filter(within & pl.col("event_time").is_between(since, until, closed="left"))
    return one_per_id(found).collect()


def _news(lake: Lake, alerts: Sequence[dict[str, Any]]) -> dict[str, NewsItem]:
    wanted = sorted({name for alert in alerts for name in alert["article_ids"]})
    if not wanted:
        return {}
    since = min(alert["window_start"] for alert in alerts) - _NEWS_REACH
    rows = (
        lake.scan(BRONZE_NEWS)
        .filter((pl.col("event_date") >= since.date()) & pl.col("article_id").is_in(wanted))
        .sort("kafka_offset")
        .unique("article_id", keep="first", maintain_order=True)
        .collect()
    )
    return {item.article_id: item for item in news_items(rows, Settings().news_clock)}


def judgements_of(postgres: Postgres, alert_ids: Sequence[str]) -> pl.DataFrame:
    """What people said of alerts: alert_id, right, wrong; a row an alert that somebody judged."""
    query = (
        "SELECT alert_id, count(*) FILTER (WHERE action = 'right'), count(*) FILTER (WHERE action = 'wrong') "
        "FROM ops.alert_actions WHERE alert_id = ANY(%s) AND action IN ('right', 'wrong') GROUP BY alert_id"
    )
    schema = {"alert_id": pl.String, "right": pl.Int64, "wrong": pl.Int64}
    if not alert_ids:
        return pl.DataFrame(schema=schema)
    with postgres.connect() as connection:
        return pl.DataFrame(connection.execute(query, (list(alert_ids),)).fetchall(), schema=schema, orient="row")


def settle(postgres: Postgres, judged: Iterable[Judged], now: datetime) -> int:
    """Tell each verdict in public.alerts; an alert that was withdrawn, and an incident whose data are whole, end.

    Returns:
        How many alerts changed.
    """
    rows = [
        {
            "alert_id": alert["alert_id"],
            "verdict": said.verdict,
            "value": said.value,
            "at": now,
            "ends": _ends(alert, said),
        }
        for alert, said in judged
        if said.verdict is not None or _ends(alert, said)
    ]
    changed = 0
    with postgres.connect() as connection, connection.cursor() as cursor:
        for row in rows:
            changed += cursor.execute(_SETTLE, row).rowcount
    return changed


def _ends(alert: dict[str, Any], said: Verdict) -> bool:
    if said.verdict == "withdrawn":
        return True
    is_about_ids = msgspec.json.decode(alert["evidence"]).get("rule", {}).get("family") != "feed_silent"
    return bool(
        alert["rule"] == INCIDENT and is_about_ids and said.coverage.pct is not None and not said.coverage.missing
    )
