"""Streaming queries of the Spark application, observed through what each reports after a batch."""

from collections.abc import Iterator

import dagster as dg

from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    SILVER_BAR_NEWS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
)
from crypto_intel.observing import JOBS, TOPICS, observe_jobs
from crypto_intel.resources.postgres import Postgres
from crypto_intel.specs import OWNERS, key_of

_DOCS = {
    "ingest": "Every record of every topic into bronze, whole.",
    "bars": "Trades into 1-minute and 5-minute bars, each written once when its window closes.",
    "bar_news": "Bars joined with news within five minutes.",
    "live": "Seconds-fresh prices into PostgreSQL and Redis, and the first alert rule.",
    "publish": "What streamed into PostgreSQL and Redis: bars, pairs, articles, gaps, provisional enriched rows.",
}
_PUBLISHED = (SILVER_BARS_1M, SILVER_BARS_5M, SILVER_BAR_NEWS, BRONZE_NEWS, BRONZE_FEED_STATUS)
_DEPS = {
    "ingest": [key for topic, key in TOPICS.items() if topic != "alerts"],
    "bars": [TOPICS["trades"]],
    "bar_news": [TOPICS["news"], key_of(SILVER_BARS_1M)],
    "live": [TOPICS["trades"]],
    "publish": [key_of(table) for table in _PUBLISHED],
}


def _job(name: str, key: dg.AssetKey) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        key,
        deps=_DEPS[name],
        description=_DOCS[name],
        group_name="sources",
        kinds={"spark", "python"},
        owners=OWNERS,
        tags={"layer": "sources", "mode": "streaming"},
    )

    @dg.multi_observable_source_asset(name=f"observe_{name}_job", specs=[spec])
    def observe(postgres: Postgres) -> Iterator[dg.ObserveResult]:
        yield from (observed.result() for observed in observe_jobs(postgres, [name]))

    observed: dg.AssetsDefinition = observe
    return observed


streaming_jobs = [_job(name, key) for name, key in JOBS.items()]
