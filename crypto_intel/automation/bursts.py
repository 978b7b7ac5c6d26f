"""The sensor of news that comes in bursts: the open hour of the assets hit is enriched at once, not when it has closed.

Glue around core.bursts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
import msgspec

from crypto_intel.automation.jobs import burst_job
from crypto_intel.contracts.tables import BRONZE_NEWS, GOLD_BARS_1M, GOLD_BURST_ENRICHED, SILVER_BARS_1M
from crypto_intel.core.bursts import Burst, BurstCursor, due, find_bursts
from crypto_intel.core.enrich import NEWS_WINDOW_S
from crypto_intel.core.hours import HOUR, event_hour, hours_spanned
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.bursts import policy, recent_stories
from crypto_intel.resources.lake import Lake

REACH = timedelta(seconds=NEWS_WINDOW_S)


@dg.sensor(job=burst_job, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def news_burst_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Requests the enrichment of open hours around each burst of news, once for each."""
    cursor = msgspec.json.decode(context.cursor, type=BurstCursor) if context.cursor else BurstCursor()
    lake = lake.glance()
    news, now = lake.open(BRONZE_NEWS), lake.platform_time()
    if news is None or now is None:
        return dg.SensorResult(skip_reason="no news yet, or no heartbeat: the platform clock is unknown")
    if news.version() == cursor.version and not cursor.seen:
        return dg.SensorResult(skip_reason="no news since the last look", cursor=context.cursor)
    open_hours, rules = _open_hours(lake, now), policy()
    if not open_hours:
        return dg.SensorResult(skip_reason="no hour is open that has bars", cursor=context.cursor)
    stories = recent_stories(lake, open_hours[0] - rules.baseline, now)
    found = find_bursts(stories, cursor.done_until, open_hours[0], rules)
    asked, cursor = due(found, cursor, now)
    cursor.version = news.version()
    requests = [request for burst in asked for request in _requests(burst, open_hours)]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{len(found)} bursts of news in the open hours, none to ask for",
        cursor=msgspec.json.encode(cursor).decode(),
    )


def _open_hours(lake: Lake, now: datetime) -> list[datetime]:
    # Hours whose bars stream or have streamed, of the last two, until they are made.
    before = now.replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    made = hours_spanned(lake.time_spans(GOLD_BARS_1M), before)
    return [hour for hour in hours_spanned(lake.time_spans(SILVER_BARS_1M), before) if hour not in made]


def _requests(burst: Burst, open_hours: list[datetime]) -> Iterator[dg.RunRequest]:
    # A burst reaches rows from minutes before it, which may be the hour's before. Bars to come find its moods there.
    for hour in open_hours:
        if burst.start - REACH < hour + HOUR and burst.newest >= hour:
            config = {key_of(GOLD_BURST_ENRICHED).to_python_identifier(): {"config": {"assets": [burst.asset]}}}
            yield dg.RunRequest(
                run_key=f"{burst.name}/{event_hour(hour)}",
                partition_key=event_hour(hour),
                run_config={"ops": config},
                tags={"crypto_intel/why": f"{burst.stories} stories about {burst.asset}, {burst.usual:.1f} are usual"},
            )
