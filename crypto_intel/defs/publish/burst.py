"""Bursts of news as they are served: moods of their articles, and what follows from them in market_enriched."""

from typing import Any

import dagster as dg
import polars as pl
import psycopg

from crypto_intel.contracts.serving import MARKET_ENRICHED
from crypto_intel.contracts.tables import GOLD_BURST_ENRICHED
from crypto_intel.core.errors import TransientError
from crypto_intel.core.hours import hour_start
from crypto_intel.graph.specs import OWNERS, RUNNING_HOURLY, key_of
from crypto_intel.operations.enriching import news_around
from crypto_intel.operations.observing import JOBS
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import RETRIES, RETRY_AFTER_S, agreeing_rows, set_moods, unknown_articles
from streaming.sinks.postgres import refresh_market_enriched


@dg.asset(
    key=dg.AssetKey(["publish", "burst_enriched"]),
    group_name="publish",
    kinds={"postgres", "supabase"},
    owners=OWNERS,
    tags={"layer": "publish", "mode": "batch"},
    description="Moods of a burst's articles in public.articles, and the next revision of the rows of "
    "public.market_enriched around them, of an hour that is not made yet.",
    ins={"rows": dg.AssetIn(key_of(GOLD_BURST_ENRICHED))},
    deps=[JOBS["publish"]],
    partitions_def=RUNNING_HOURLY,
    code_version="1",
)
def burst_enriched(
    context: dg.AssetExecutionContext, rows: pl.LazyFrame, postgres: Postgres, lake: Lake
) -> dg.MaterializeResult[Any]:
    """The stream and this run write provisional rows by one function, one at a time; final rows stay as they are."""
    frame = rows.collect()
    articles = frame["article_ids"].explode().drop_nulls().unique()
    news = news_around(lake, hour_start(context.partition_key)).unique("article_id")
    moods = news.filter(pl.col("article_id").is_in(articles.implode())).select("article_id", "sentiment").drop_nulls()
    try:
        with postgres.connect() as connection:
            missing = unknown_articles(connection, articles.to_list())
            if missing:
                raise TransientError(f"{missing} articles are not served yet: the stream brings them")
            scored = set_moods(connection, moods)
            revised = refresh_market_enriched(connection, frame, lake.platform_time())
            agreeing = agreeing_rows(connection, MARKET_ENRICHED, frame)
    except (TransientError, psycopg.OperationalError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_S) from error
    figures = {"articles_scored": scored, "enriched_rows_revised": revised, "rows_agreeing": agreeing}
    return dg.MaterializeResult(metadata={"dagster/row_count": frame.height, **figures})
