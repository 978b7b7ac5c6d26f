"""Drained: the source has ended, every hop is through, and nothing moves any more."""

from __future__ import annotations

import pytest

from crypto_intel.automation.jobs import hour_job
from crypto_intel.stack.drain import HOUR_JOB, QUERIES, Drain, DrainFacts, QueryFacts, missing

DONE = DrainFacts(
    source_ended=True,
    feeds=frozenset({"binance", "newsapi"}),
    feeds_ended=frozenset({"binance", "newsapi"}),
    kafka_ends={"trades": {0: 10, 1: 5}, "news": {0: 3}},
    queries=[
        *(QueryFacts(name=name, batch_id=1, end_offsets={"news": {"0": 3}}) for name in ("bar_news", "live")),
        QueryFacts(name="ingest", batch_id=9, end_offsets={"trades": {"0": 10, "1": 5}, "news": {"0": 3}}),
        QueryFacts(name="publish", batch_id=4, end_offsets={"silver/bars_1m": {"version": 8, "index": -1}}),
    ],
    versions={"silver.bars_1m": 7},
    bronze_hours=frozenset({"2024-08-09-12"}),
    gold_hours=frozenset({"2024-08-09-12"}),
    final_hours=frozenset({"2024-08-09-12"}),
    runs=0,
)


def behind(name: str, **offsets: dict[str, int]) -> QueryFacts:
    """A query that has read as far as told; a table's `/` is written `__`."""
    return QueryFacts(name=name, batch_id=1, end_offsets={key.replace("__", "/"): v for key, v in offsets.items()})


def but(changed: QueryFacts) -> list[QueryFacts]:
    """The queries that are done, one of them changed."""
    return [changed if query.name == changed.name else query for query in DONE.queries]


def test_nothing_is_missing_when_everything_is_through() -> None:
    assert missing(DONE) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source_ended": False}, "the source has not ended"),
        ({"feeds_ended": frozenset({"binance"})}, "feeds that have not ended in bronze: newsapi"),
        ({"queries": DONE.queries[1:]}, "queries without a report: bar_news"),
        ({"queries": but(QueryFacts(name="live", batch_id=0))}, "query live is behind: it has read nothing"),
        (
            {"queries": but(behind("ingest", trades={"0": 10, "1": 2}, news={"0": 3}))},
            "query ingest is behind: 3 records",
        ),
        (
            {"queries": but(behind("publish", silver__bars_1m={"version": 7, "index": 0}))},
            "query publish is behind: version 7 of 7 in silver/bars_1m",
        ),
        ({"bronze_hours": frozenset()}, "no trade is in bronze"),
        ({"gold_hours": frozenset()}, "hours not in gold: 2024-08-09-12"),
        ({"final_hours": frozenset()}, "hours not final in PostgreSQL: 2024-08-09-12"),
        ({"runs": 2}, "runs of hours: 2"),
        ({"runs": None}, "runs of hours are not known"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, object], reason: str) -> None:
    assert missing(DONE.model_copy(update=change)) == [reason]


def test_it_knows_every_query_of_the_application() -> None:
    application = pytest.importorskip("streaming.jobs.app")
    assert set(QUERIES) == set(application.QUERIES)


def test_it_knows_the_job_of_an_hour() -> None:
    assert hour_job.name == HOUR_JOB


def test_it_has_to_stand_still_for_a_while() -> None:
    now = [0.0]
    drain = Drain(clock=lambda: now[0], settle_s=20)
    assert drain.waits_for(DONE) == ["everything is through; making sure for 20 s"]
    now[0] = 15
    moved = DONE.model_copy(update={"queries": but(DONE.queries[0].model_copy(update={"batch_id": 10}))})
    assert drain.waits_for(moved) != []
    now[0] = 30
    assert drain.waits_for(moved) != []
    now[0] = 36
    assert drain.waits_for(moved) == []
