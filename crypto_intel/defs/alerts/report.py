"""alerts.report by day: how good each rule was."""

from datetime import timedelta

import dagster as dg
import polars as pl

from crypto_intel.automation.conditions import WHEN_A_DAY_IS_MADE_OR_JUDGED_ANEW
from crypto_intel.contracts.alerts import ALERT_REPORT, ALERT_VERDICTS
from crypto_intel.contracts.derived import GOLD_BARS_1D
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.alert_report import AHEAD, alert_report
from crypto_intel.core.hours import day_start
from crypto_intel.graph.reports import describe_rows, markdown
from crypto_intel.graph.specs import DAILY, key_of, table_args
from crypto_intel.operations.rejudging import judgements_of
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres


@dg.asset(
    **table_args(ALERT_REPORT, {"polars", "deltalake"}),
    ins={"verdicts": dg.AssetIn(key_of(ALERT_VERDICTS))},
    deps=[key_of(GOLD_BARS_1M), key_of(GOLD_BARS_1D)],  # a day's bars are made when it is closed
    partitions_def=DAILY,
    automation_condition=WHEN_A_DAY_IS_MADE_OR_JUDGED_ANEW,
    code_version="1",
)
def report(
    context: dg.AssetExecutionContext, verdicts: pl.LazyFrame, lake: Lake, postgres: Postgres
) -> dg.MaterializeResult[pl.DataFrame]:
    """As far as the day's hours are made; materialized again it counts what people have judged since."""
    alerts = verdicts.collect()
    start = day_start(context.partition_key)
    near = pl.col("window_start").is_between(start, start + timedelta(days=1) + AHEAD)
    bars = lake.scan(GOLD_BARS_1M).filter(near).collect()
    rows = alert_report(context.partition_key, alerts, judgements_of(postgres, alerts["alert_id"].to_list()), bars)
    table = rows.select("rule", "alerts", "precision_pct", "delay_s_median", "lead_s_median", "move_after_pct_median")
    return dg.MaterializeResult(
        value=rows, metadata={**describe_rows(rows, ALERT_REPORT), "rules": dg.MetadataValue.md(markdown(table))}
    )
