"""Sensors that tell: people of alerts, and alerts of what is wrong with the platform itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec
from psycopg.rows import dict_row

from crypto_intel.contracts.rules import load_alert_config
from crypto_intel.contracts.settings import Settings
from crypto_intel.core.errors import CryptoIntelError
from crypto_intel.core.incidents import Condition, check_condition, stream_conditions
from crypto_intel.operations.incidents import REPORTS, tell
from crypto_intel.operations.notifying import NoticeCursor, observation, plan, send_due
from crypto_intel.operations.watching import kept, watch
from crypto_intel.resources.channels import Channels
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres

BREAK = timedelta(seconds=45)
"""Three looks for incidents that were missed: what was reported meanwhile, nobody has seen."""


@dg.sensor(minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def notices_sensor(
    context: dg.SensorEvaluationContext, postgres: Postgres, lake: Lake, channels: Channels
) -> dg.SensorResult:
    """Tells people of alerts by the routes of the rules' file; what a channel did not take is tried again."""
    if not postgres.is_configured() or not channels.names():
        return dg.SensorResult(skip_reason="no channel is set: CRYPTO_INTEL_CHANNELS__<NAME> is an Apprise URL")
    cursor = msgspec.json.decode(context.cursor, type=NoticeCursor) if context.cursor else NoticeCursor()
    routes = load_alert_config(Settings().rules_file).routes
    with postgres.connect() as connection:
        cursor = plan(connection, routes, channels.names(), cursor, platform=lake.platform_time())
    done = send_due(postgres, channels)
    told = ", ".join(f"{count} {state}" for (state, _), count in sorted(done.items())) or "nothing due"
    return dg.SensorResult(
        asset_events=[observation(done)] if done else [],
        skip_reason=told,
        cursor=msgspec.json.encode(cursor).decode(),
    )


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def incidents_sensor(context: dg.SensorEvaluationContext, postgres: Postgres, lake: Lake) -> dg.SensorResult:
    """Raises a data incident for each query that is silent or behind and each check that failed; ends those gone."""
    if not postgres.is_configured():
        return dg.SensorResult(skip_reason="CRYPTO_INTEL_POSTGRES_DSN is not set: nowhere to tell incidents")
    try:
        with postgres.connect() as connection:
            watched = watch(context.cursor, BREAK)
            reports = connection.cursor(row_factory=dict_row).execute(REPORTS).fetchall()
            conditions = [*stream_conditions(reports, watched), *failed_checks(context)]
            now = datetime.now(UTC)
            raised, resolved = tell(connection, conditions, now=now, platform=lake.platform_time() or now)
    except CryptoIntelError as error:  # no look: the cursor stays, and the watch may break
        return dg.SensorResult(skip_reason=str(error))
    told = f"{len(conditions)} conditions: {raised} raised, {resolved} resolved"
    return dg.SensorResult(skip_reason=told, cursor=kept(watched))


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
