"""alerts.verdicts by hour: each alert judged again on whole data."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from crypto_intel.automation.conditions import WHEN_BARS_ARE_MADE_OR_ALERTS_COME_LATE
from crypto_intel.contracts.alerts import ALERT_VERDICTS, VERDICTS
from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.tables import BRONZE_TRADES, GOLD_BARS_1M
from crypto_intel.core.frames import empty_frame
from crypto_intel.core.hours import hour_start
from crypto_intel.core.verdicts import verdict_rows
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import RUNNING_HOURLY, key_of, table_args
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel.operations.rejudging import alerts_of_hour, judge_alerts, settle
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres


@dg.asset(
    **table_args(ALERT_VERDICTS, {"polars", "deltalake"}),
    deps=[ALERT_KEY, key_of(BRONZE_TRADES), key_of(GOLD_BARS_1M), key_of(GOLD_REPAIRED_BARS_1M)],
    partitions_def=RUNNING_HOURLY,
    automation_condition=WHEN_BARS_ARE_MADE_OR_ALERTS_COME_LATE,
    code_version="1",
)
def verdicts(context: dg.AssetExecutionContext, lake: Lake, postgres: Postgres) -> dg.MaterializeResult[pl.DataFrame]:
    """Confirmed, revised or withdrawn; told in public.alerts too, where what is withdrawn or whole again ends."""
    hour = hour_start(context.partition_key)
    trades = lake.open(BRONZE_TRADES)
    judged = judge_alerts(lake, alerts_of_hour(postgres, hour)) if trades else []
    now = lake.platform_time() or datetime.now(UTC)
    rows = empty_frame(ALERT_VERDICTS)
    changed = 0
    if judged and trades:
        rows = verdict_rows(judged, hour=hour, trades_version=trades.version(), judged_at=now)
        changed = settle(postgres, judged, now)
    counts = {verdict: rows.filter(pl.col("verdict") == verdict).height for verdict in VERDICTS}
    return dg.MaterializeResult(
        value=rows, metadata={**describe_rows(rows, ALERT_VERDICTS), **counts, "alerts_changed": changed}
    )
