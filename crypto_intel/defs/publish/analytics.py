"""Indicators and summaries of closed hours, and longer bars, as they are served."""

from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.automation.conditions import WITH_THE_DAYS_BARS, Condition
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import (
    GOLD_BARS_1D,
    GOLD_BARS_1H,
    GOLD_BARS_5M,
    GOLD_INDICATORS,
    GOLD_MARKET_SUMMARY,
)
from crypto_intel.contracts.serving import BARS_1D, BARS_1H, BARS_5M, INDICATORS, MARKET_SUMMARY, ServedTable
from crypto_intel.graph.specs import DAILY, HOURLY, input_of, served_spec_args
from crypto_intel.operations.observing import JOBS
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_rows


def _published(
    served: ServedTable,
    table: Table,
    partitions: dg.PartitionsDefinition[Any],
    deps: list[dg.AssetKey] | None = None,
    condition: Condition | None = None,
) -> dg.AssetsDefinition:
    @dg.asset(
        **served_spec_args(served),
        ins={"rows": input_of(table)},
        deps=deps or [],
        partitions_def=partitions,
        automation_condition=condition,
        code_version="1",
    )
    def publish(rows: pl.LazyFrame, postgres: Postgres) -> dg.MaterializeResult[Any]:
        return publish_rows(postgres, served, rows)

    published: dg.AssetsDefinition = publish
    return published


bars_5m = _published(BARS_5M, GOLD_BARS_5M, HOURLY, [JOBS["publish"]])
bars_1h = _published(BARS_1H, GOLD_BARS_1H, HOURLY)
bars_1d = _published(BARS_1D, GOLD_BARS_1D, DAILY, condition=WITH_THE_DAYS_BARS)
indicators = _published(INDICATORS, GOLD_INDICATORS, HOURLY)
market_summary = _published(MARKET_SUMMARY, GOLD_MARKET_SUMMARY, HOURLY)
