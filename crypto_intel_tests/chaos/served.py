"""Compares PostgreSQL, Redis and the alerts topic with the load: what is served is whole, and each alert is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import polars as pl
import psycopg
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.settings import Topics
from crypto_intel_tests.chaos.judgement import Verdict, judge_bars
from crypto_intel_tests.chaos.load import MINUTE_US, PARTITIONS, Jump, Load


class Served(Protocol):
    """What serves: an application, or queries in this process. Members are read-only."""

    @property
    def queries(self) -> tuple[str, ...]:
        """Those that ran."""

    @property
    def dsn(self) -> str:
        """Of PostgreSQL."""

    @property
    def redis_url(self) -> str:
        """Of Redis."""

    @property
    def bootstrap(self) -> str:
        """Of the broker."""

    @property
    def topics(self) -> Topics:
        """Its topics."""


def judge_served(ran: Served, load: Load) -> Verdict:
    """Hold PostgreSQL and Redis to the load, and the alerts topic to PostgreSQL: what its queries publish."""
    verdict = Verdict()
    if "publish" in ran.queries:
        for name, window_us in (("bars_1m", MINUTE_US), ("bars_5m", 5 * MINUTE_US)):
            bars = _table(ran.dsn, f"SELECT * FROM {name}")
            judge_bars(bars, load.bars(window_us), f"served {name}", verdict)
        articles = {row[0] for row in _rows(ran.dsn, "SELECT article_id FROM articles")}
        wanted = {article.article_id for article in load.news}
        verdict.add("articles", lost=len(wanted - articles), wrong=len(articles - wanted))
    if {"publish", "bar_news"} <= set(ran.queries):
        _judge_pairs(ran.dsn, load, verdict)
    if "live" in ran.queries:
        _judge_markets(ran, load, verdict)
        _judge_alerts(ran, load, verdict)
    return verdict


def is_served(ran: Served, load: Load) -> bool:
    """Whether as many rows are served as there must be: cheap, to be asked often."""
    asked = {"bars_1m": load.bars().height} if "publish" in ran.queries else {}
    if {"publish", "bar_news"} <= set(ran.queries):
        asked["bar_news"] = len(load.pairs())
    if any(_rows(ran.dsn, f"SELECT count(*) FROM {name}")[0][0] < count for name, count in asked.items()):
        return False
    found = judge_served(ran, load)
    return not found.lost and not found.wrong


def _judge_pairs(dsn: str, load: Load, verdict: Verdict) -> None:
    times = "(extract(epoch FROM window_start) * 1000000)::bigint"
    has = set(_rows(dsn, f"SELECT venue, symbol, {times}, article_id FROM bar_news"))
    wanted = load.pairs()
    verdict.add("served bar_news", lost=len(wanted - has), wrong=len(has - wanted))


def _judge_markets(ran: Served, load: Load, verdict: Verdict) -> None:
    # The newest price of each market, in PostgreSQL and in Redis.
    last = load.frame().sort("trade_id").group_by("venue", "symbol").agg(pl.last("price"))
    prices = {(venue, symbol): price for venue, symbol, price in last.iter_rows()}
    served = {(v, s): price for v, s, price in _rows(ran.dsn, "SELECT venue, symbol, price FROM live_markets")}
    verdict.add("live_markets", wrong=sum(served.get(market) != price for market, price in prices.items()))
    client = redis.Redis.from_url(ran.redis_url, decode_responses=True)
    cached: dict[tuple[str, str], Any] = {
        (venue, symbol): client.hget(f"market:{venue}:{symbol}", "price") for venue, symbol in prices
    }
    client.close()
    verdict.add("redis", wrong=sum(float(cached[market] or 0) != price for market, price in prices.items()))


def _judge_alerts(ran: Served, load: Load, verdict: Verdict) -> None:
    # At least once on the wire, one row after de-duplication; each jump that was planted was told, and no other move.
    ids = [alert_id for (alert_id,) in _rows(ran.dsn, "SELECT alert_id FROM alerts")]
    sent = {alert.alert_id for alert in alerts_of(ran)}
    verdict.add("alerts", lost=len(set(ids) - sent), doubled=len(ids) - len(set(ids)), wrong=len(sent - set(ids)))
    judge_moves(_rows(ran.dsn, _MOVES), load.jumps, verdict)


_MOVES = """SELECT venue || ':' || symbol, (extract(epoch FROM window_start) * 1000000)::bigint,
  (extract(epoch FROM window_end) * 1000000)::bigint FROM alerts WHERE rule = 'price_move'"""


def judge_moves(told: Sequence[tuple[str, int, int]], jumps: Sequence[Jump], verdict: Verdict) -> None:
    """Hold told moves (market, start and end of the window that the rule looked at) to the planted jumps."""
    for jump in jumps:
        times = sum(_shows(move, jump) for move in told)
        verdict.add(f"alert of {jump}", lost=int(times == 0), doubled=max(0, times - 1))
    verdict.add("moves that were none", wrong=sum(not any(_shows(move, jump) for jump in jumps) for move in told))


def _shows(move: tuple[str, int, int], jump: Jump) -> bool:
    market, start_us, end_us = move
    return market == jump.market and start_us <= jump.at_us < end_us


def alerts_of(ran: Served) -> list[Alert]:
    """Everything on the alerts topic."""
    consumer = Consumer({"bootstrap.servers": ran.bootstrap, "group.id": "chaos", "enable.auto.commit": False})
    places = [TopicPartition(ran.topics.alerts, number, OFFSET_BEGINNING) for number in range(PARTITIONS)]
    count = sum(high for _, high in (consumer.get_watermark_offsets(place, timeout=10) for place in places))
    consumer.assign(places)
    found: list[Alert] = []
    while len(found) < count:
        messages = consumer.consume(count - len(found), timeout=5)
        assert messages, f"{len(found)} of {count} alerts"
        found += [msgspec.json.decode(message.value() or b"", type=Alert) for message in messages]
    consumer.close()
    return found


def _rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


def _table(dsn: str, statement: str) -> pl.DataFrame:
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(statement)
        names = [column.name for column in cursor.description or ()]
        return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)
