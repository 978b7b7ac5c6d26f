"""The platform's own incidents on the path of alerts: raised once while a condition lasts, resolved when it is gone.

Guarantee: an incident enters public.alerts and the outbox of the alerts topic in one transaction, as the stream's
alerts do. Which are open stands in the database alone, so neither a lost cursor nor a restart doubles one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import msgspec
import psycopg
from psycopg.rows import dict_row

from crypto_intel.contracts.rules import PLATFORM
from crypto_intel.contracts.settings import Settings
from crypto_intel.core.errors import CryptoIntelError
from crypto_intel.core.incidents import Condition, check_condition, incident, stream_conditions
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from streaming.sinks.postgres import insert_alerts

Connection = psycopg.Connection[Any]

_REPORTS = "SELECT query, updated_at, lag_records, lag_s FROM ops.stream_progress ORDER BY query"
_OPEN = (
    "SELECT alert_id, evidence FROM public.alerts WHERE rule = 'data_incident' AND resolved_at IS NULL AND venue = %s"
)
_RESOLVE = (
    "UPDATE public.alerts SET resolved_at = %s, "
    "state = CASE WHEN state IN ('open', 'acknowledged') THEN 'resolved' ELSE state END WHERE alert_id = ANY(%s)"
)
_FEEDS_ARE_BACK = """
UPDATE public.alerts a SET resolved_at = f.event_time,
  state = CASE WHEN a.state IN ('open', 'acknowledged') THEN 'resolved' ELSE a.state END
FROM public.feeds f
WHERE a.rule = 'data_incident' AND a.resolved_at IS NULL AND a.evidence::jsonb #>> '{rule,family}' = 'feed_silent'
  AND f.venue = a.venue AND f.stream = 'heartbeat' AND f.event_time > a.window_end
"""


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def incidents_sensor(context: dg.SensorEvaluationContext, postgres: Postgres, lake: Lake) -> dg.SensorResult:
    """Raises a data incident for each query that is silent or behind and each check that failed; ends those gone."""
    if not postgres.is_configured():
        return dg.SensorResult(skip_reason="CRYPTO_INTEL_POSTGRES_DSN is not set: nowhere to tell incidents")
    now = datetime.now(UTC)
    platform = lake.platform_time() or now
    try:
        with postgres.connect() as connection:
            reports = connection.cursor(row_factory=dict_row).execute(_REPORTS).fetchall()
            conditions = [*stream_conditions(reports, now), *failed_checks(context)]
            raised, resolved = tell(connection, conditions, now=now, platform=platform)
    except CryptoIntelError as error:
        return dg.SensorResult(skip_reason=str(error))
    return dg.SensorResult(skip_reason=f"{len(conditions)} conditions: {raised} raised, {resolved} resolved")


def failed_checks(context: dg.SensorEvaluationContext) -> Iterator[Condition]:
    """Of every check of the graph whose newest evaluation failed."""
    repository = context.repository_def
    if repository is None:
        return
    graph = repository.asset_graph
    latest = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    for key, record in sorted(latest.items(), key=lambda found: str(found[0])):
        evaluation = record.event.asset_check_evaluation if record.event and record.event.dagster_event else None
        if evaluation is not None and not evaluation.passed:
            yield check_condition(
                key.asset_key.to_user_string(),
                key.name,
                is_error=evaluation.severity is dg.AssetCheckSeverity.ERROR,
                description=graph.get_check_spec(key).description or "",
            )


def tell(
    connection: Connection, conditions: Sequence[Condition], *, now: datetime, platform: datetime
) -> tuple[int, int]:
    """Raise what is new and resolve what is gone; how many of each.

    Args:
        now: wall clock.
        platform: platform clock.
    """
    known = {_key(evidence): alert_id for alert_id, evidence in connection.execute(_OPEN, (PLATFORM,)).fetchall()}
    new = [condition for condition in conditions if condition.key not in known]
    source = Settings().source
    insert_alerts(connection, [incident(one, source=source, began_at=now, platform=platform) for one in new])
    gone = [alert_id for key, alert_id in known.items() if key not in {condition.key for condition in conditions}]
    connection.execute(_RESOLVE, (platform, gone))
    feeds = connection.execute(_FEEDS_ARE_BACK).rowcount
    return len(new), len(gone) + int(feeds)


def _key(evidence: str) -> str:
    return str(msgspec.json.decode(evidence).get("rule", {}).get("key"))
