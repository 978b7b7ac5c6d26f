"""Blocking checks: what Dagster writes keeps its contract, or nothing downstream runs."""

from crypto_intel.contracts.derived import GOLD_BARS_1D
from crypto_intel.contracts.tables import MACRO_FRED_OBSERVATIONS, SILVER_GAPS
from crypto_intel.jobs import HOUR_TABLES
from crypto_intel.quality import contract_check
from crypto_intel.specs import DAILY, HOURLY, YEARLY

hourly_contracts = [contract_check(table, HOURLY) for table in HOUR_TABLES if table is not SILVER_GAPS]
daily_contracts = [contract_check(GOLD_BARS_1D, DAILY)]
whole_contracts = [contract_check(SILVER_GAPS)]
yearly_contracts = [contract_check(MACRO_FRED_OBSERVATIONS, YEARLY)]
