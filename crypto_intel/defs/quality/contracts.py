"""Blocking checks: what Dagster writes keeps its contract, or nothing downstream runs."""

from crypto_intel.contracts.tables import (
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    SILVER_GAPS,
    SILVER_TRADES,
)
from crypto_intel.quality import contract_check
from crypto_intel.specs import HOURLY, YEARLY

hourly_contracts = [contract_check(table, HOURLY) for table in (SILVER_TRADES, GOLD_BARS_1M, GOLD_MARKET_ENRICHED)]
whole_contracts = [contract_check(SILVER_GAPS)]
yearly_contracts = [contract_check(MACRO_FRED_OBSERVATIONS, YEARLY)]
