"""Which assets and checks run together: one run an hour of market data, one run a range of macro years."""

from __future__ import annotations

import dagster as dg

from crypto_intel.contracts.tables import (
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    SILVER_GAPS,
    SILVER_TRADES,
)
from crypto_intel.specs import key_of

HOUR_ASSETS = [
    key_of(SILVER_TRADES),
    key_of(SILVER_GAPS),
    key_of(GOLD_BARS_1M),
    key_of(GOLD_MARKET_ENRICHED),
    dg.AssetKey(["publish", "bars_1m"]),
    dg.AssetKey(["publish", "market_enriched"]),
    dg.AssetKey(["publish", "gaps"]),
]
MACRO_ASSETS = [key_of(MACRO_FRED_OBSERVATIONS), dg.AssetKey(["publish", "macro_observations"])]

HOUR_CHECKS = [
    dg.AssetCheckKey(key_of(SILVER_TRADES), "contract"),
    dg.AssetCheckKey(key_of(SILVER_GAPS), "contract"),
    dg.AssetCheckKey(key_of(GOLD_BARS_1M), "contract"),
    dg.AssetCheckKey(key_of(GOLD_BARS_1M), "stream_equals_batch"),
    dg.AssetCheckKey(key_of(GOLD_MARKET_ENRICHED), "contract"),
]
MACRO_CHECKS = [dg.AssetCheckKey(key_of(MACRO_FRED_OBSERVATIONS), "contract")]


def _selection(assets: list[dg.AssetKey], checks: list[dg.AssetCheckKey]) -> dg.AssetSelection:
    # Checks of freshness stand on the same assets, but are judged by the clock and not by a run.
    return dg.AssetSelection.assets(*assets).without_checks() | dg.AssetSelection.checks(*checks)


RETRY_CRASHES = {"dagster/max_retries": "2", "dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose process died is repeated, since every write replaces or upserts. A step that failed is not: its fault is
in the data or the settings, and what passes by itself (a database away, FRED busy) is repeated within the step."""

hour_job = dg.define_asset_job(
    "market_hour",
    _selection(HOUR_ASSETS, HOUR_CHECKS),
    tags=RETRY_CRASHES,
    description="An hour of market data: silver, gold, checks, and its publication; and the ledger of gaps as of now.",
)
macro_job = dg.define_asset_job(
    "macro_years",
    _selection(MACRO_ASSETS, MACRO_CHECKS),
    tags=RETRY_CRASHES,
    description="Macro observations of a range of years, with their vintages: one request a series.",
)
