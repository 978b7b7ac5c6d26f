"""Alerts: every rule that fired, as one materialization each; alerts_sensor reports them."""

import dagster as dg

from crypto_intel.contracts.serving import ALERTS
from crypto_intel.graph.specs import OWNERS, RUNNING_HOURLY, column_schema
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel.operations.observing import JOBS

alert = dg.AssetSpec(
    ALERT_KEY,
    deps=[JOBS["live"]],
    description=f"{ALERTS.doc} One materialization an alert, in the hour of its window's end, with its evidence.",
    partitions_def=RUNNING_HOURLY,
    group_name="alerts",
    kinds={"postgres"},
    owners=OWNERS,
    tags={"layer": "alerts", "mode": "streaming"},
    metadata={"dagster/column_schema": column_schema(ALERTS.columns), "dagster/table_name": "public.alerts"},
)
