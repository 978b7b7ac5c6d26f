"""A burst of news in an hour that still runs: rows are joined and scored at once, served as the next revision."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pydantic import SecretStr

from crypto_intel.automation.bursts import news_burst_sensor
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    GOLD_BURST_ENRICHED,
    SILVER_BARS_1M,
)
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import event_hour
from crypto_intel.definitions import build_defs
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.core.test_enrich import bar
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.defs.test_repaired_minutes import served
from crypto_intel_tests.crypto_intel.defs.test_sensors import reason
from crypto_intel_tests.crypto_intel.lakes import HOUR
from streaming.jobs.publish import served_rows
from streaming.sinks.postgres import PostgresSink, Upsert

pytestmark = pytest.mark.stack

MINUTE = timedelta(minutes=1)
AT = HOUR + 20 * MINUTE
BURST = [
    lakes.article(f"a{n}", AT + timedelta(seconds=n), title=title)
    for n, title in enumerate(["Bitcoin surges", "Bitcoin plunges", "BTC hacked", "Bitcoin rallies", "A BTC survey"])
]
LATER = lakes.article("a5", AT + MINUTE, title="Bitcoin soars")
ENRICHED = (
    "SELECT symbol, news_count, sentiment_mean, revision, is_final FROM market_enriched "
    "WHERE news_count > 0 OR revision > 0 ORDER BY window_start, symbol"
)


@pytest.fixture
def sink(own_postgres_dsn: str) -> Iterator[PostgresSink]:
    """Where the stream serves."""
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="publish", epoch="checkpoint-1")
    yield sink
    sink.close()


def streamed_bars() -> pl.DataFrame:
    """Half an hour of two markets."""
    times = [HOUR + n * MINUTE for n in range(30)]
    rows = [bar(at, symbol, event_date=at.date()) for at in times for symbol in ("BTC-USDT", "ETH-USDT")]
    return conform(pl.DataFrame(rows), SILVER_BARS_1M)


def pairs(*articles: dict[str, Any]) -> pl.DataFrame:
    """As the stream pairs them: the bars that end within five minutes of the article."""
    bars = streamed_bars().filter(pl.col("symbol") == "BTC-USDT")
    columns = ("article_id", "title", "source", "published_at", "first_seen_at", "sentiment")
    news = pl.DataFrame([{name: one[name] for name in columns} for one in articles], infer_schema_length=None)
    after_s = (pl.col("published_at") - pl.col("window_end")).dt.total_seconds().cast(pl.Float64)
    return (
        bars.select("venue", "symbol", "window_start", "window_end", "close")
        .join(news.cast({"sentiment": pl.Float64}), how="cross")
        .with_columns(published_after_s=after_s, clock=pl.lit("published"))
        .filter(pl.col("published_after_s").abs() <= 300)
    )


def stream(lake_path: Path, sink: PostgresSink, batch_id: int, *articles: dict[str, Any]) -> None:
    """News as the stream brings it: into the lake, paired, served."""
    lakes.append(lake_path, BRONZE_NEWS, list(articles))
    paired = pairs(*articles)
    told = served_rows(conform(pl.DataFrame(list(articles), infer_schema_length=None), BRONZE_NEWS), "articles")
    upserts = [Upsert("articles", told), Upsert("bar_news", paired)]
    sink.publish(batch_id, upserts, refresh_enriched=paired, known_at=AT + 6 * MINUTE)


@pytest.fixture
def running_hour(lake_path: Path, sink: PostgresSink) -> None:
    """An hour so far: bars, and some news of the hour before."""
    bars = streamed_bars()
    lakes.append(lake_path, SILVER_BARS_1M, bars)
    lakes.append(lake_path, BRONZE_NEWS, [lakes.article("old", HOUR - 30 * MINUTE, ["XRP"])])
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(HOUR, HOUR + 30 * MINUTE))
    rows = bars.drop("event_date")
    sink.publish(0, [Upsert("bars_1m", rows)], refresh_enriched=rows, known_at=HOUR + 30 * MINUTE)


def run(graph: dg.Definitions, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """The run that a tick asked for, as it asked for it."""
    return graph.resolve_job_def("news_burst").execute_in_process(
        partition_key=request.partition_key, run_config=request.run_config
    )


def test_a_burst_in_a_running_hour_is_enriched_once_and_served_as_the_next_revision(  # noqa: PLR0917
    lake_resources: dict[str, Any],
    lake_path: Path,
    own_postgres_dsn: str,
    tick: Tick,
    sink: PostgresSink,
    running_hour: None,
) -> None:
    lake: Lake = lake_resources["lake"]
    postgres = Postgres(dsn=own_postgres_dsn)
    graph = build_defs(resource_overrides={**lake_resources, "postgres": postgres})
    quiet = tick(news_burst_sensor)
    assert quiet.run_requests == []
    assert "no news since" in reason(tick(news_burst_sensor, quiet.cursor))

    stream(lake_path, sink, 1, *BURST)
    first = tick(news_burst_sensor, quiet.cursor)  # 22:30 by the platform clock: the burst's window is over
    (request,) = first.run_requests or []
    assert (request.partition_key, request.run_key) == (
        event_hour(HOUR),
        "BTC/2024-08-08T22:20:00.000000Z/2024-08-08-22",
    )
    assert tick(news_burst_sensor, first.cursor).run_requests == []
    before = served(postgres, ENRICHED)
    assert {row[0] for row in before} == {"BTC-USDT"} and {row[2:] for row in before} == {(None, 1, False)}

    result = run(graph, request)
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
    made = lake.scan(GOLD_BURST_ENRICHED).collect()
    assert made["symbol"].unique().to_list() == ["BTC-USDT"] and made.height == 30
    scored = served(postgres, ENRICHED)
    assert [row[0] for row in scored] == [row[0] for row in before]
    assert all(now[3] == was[3] + 1 and now[2] is not None for now, was in zip(scored, before, strict=True))
    figures = result.asset_materializations_for_node("publish__burst_enriched")[0].metadata
    assert (figures["articles_scored"].value, figures["enriched_rows_revised"].value) == (5, len(scored))
    assert figures["rows_agreeing"].value == 30  # every row is served as the batch made it

    assert run(graph, request).success  # again: nothing changes
    assert served(postgres, ENRICHED) == scored


def test_what_streams_behind_a_burst_keeps_its_moods_and_the_closed_hour_has_the_last_word(  # noqa: PLR0917
    lake_resources: dict[str, Any],
    lake_path: Path,
    own_postgres_dsn: str,
    tick: Tick,
    sink: PostgresSink,
    running_hour: None,
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    graph = build_defs(resource_overrides={**lake_resources, "postgres": postgres})
    stream(lake_path, sink, 1, *BURST)
    (request,) = tick(news_burst_sensor).run_requests or []
    run(graph, request)
    scored = {row[0] for row in served(postgres, "SELECT window_start FROM market_enriched WHERE sentiment_mean <> 0")}
    stream(lake_path, sink, 2, LATER)
    still = served(postgres, "SELECT window_start, revision FROM market_enriched WHERE sentiment_mean IS NOT NULL")
    assert scored and scored <= {row[0] for row in still}
    assert {revision for _, revision in still} == {2, 3}

    with postgres.connect() as connection:  # the hour is made
        connection.execute("UPDATE market_enriched SET is_final = true, news_count = 1 WHERE news_count > 0")
    final = served(postgres, ENRICHED)
    run(graph, request)
    assert served(postgres, ENRICHED) == final and {row[4] for row in final} == {True}


def test_the_run_of_a_second_burst_keeps_the_rows_of_the_first(
    lake: Lake, lake_path: Path, lake_resources: dict[str, Any], own_postgres_dsn: str, running_hour: None
) -> None:
    graph = build_defs(resource_overrides={**lake_resources, "postgres": Postgres(dsn=own_postgres_dsn)})
    for asset in ("BTC", "ETH"):
        config = {"ops": {"gold__burst_enriched": {"config": {"assets": [asset]}}}}
        run(graph, dg.RunRequest(partition_key=event_hour(HOUR), run_config=config))
    rows = lake.scan(GOLD_BURST_ENRICHED).collect()
    assert rows.group_by("symbol").len().sort("symbol").rows() == [("BTC-USDT", 30), ("ETH-USDT", 30)]
    assert set(rows["revision"]) == {1}
