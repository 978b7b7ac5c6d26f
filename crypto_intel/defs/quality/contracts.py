"""Blocking checks: what Dagster writes keeps its contract, or nothing downstream runs."""

from crypto_intel.automation.jobs import HOUR_TABLES
from crypto_intel.checks.factories import contract_check
from crypto_intel.contracts.alerts import ALERT_REPORT, ALERT_VERDICTS
from crypto_intel.contracts.derived import GOLD_BARS_1D, GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.macro import (
    MACRO_FEATURES,
    MACRO_FRED_AS_OF,
    MACRO_FRED_OBSERVATIONS,
    MACRO_FRED_SERIES,
    MACRO_RELEASE_DATES,
)
from crypto_intel.contracts.tables import GOLD_BURST_ENRICHED, SILVER_GAPS
from crypto_intel.graph.specs import DAILY, HOURLY, RUNNING_HOURLY, SERIES_BY_YEAR, YEARLY

hourly_contracts = [contract_check(table, HOURLY) for table in HOUR_TABLES if table is not SILVER_GAPS]
RUNNING_HOUR_TABLES = (GOLD_REPAIRED_BARS_1M, GOLD_BURST_ENRICHED, ALERT_VERDICTS)
running_hour_contracts = [contract_check(table, RUNNING_HOURLY) for table in RUNNING_HOUR_TABLES]
daily_contracts = [contract_check(table, DAILY) for table in (GOLD_BARS_1D, ALERT_REPORT)]
whole_contracts = [contract_check(table) for table in (SILVER_GAPS, MACRO_FRED_SERIES, MACRO_RELEASE_DATES)]
series_contracts = [contract_check(MACRO_FRED_OBSERVATIONS, SERIES_BY_YEAR)]
yearly_contracts = [contract_check(table, YEARLY) for table in (MACRO_FRED_AS_OF, MACRO_FEATURES)]
