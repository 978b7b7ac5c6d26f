"""Which assets and checks run together: one run an hour of market data, one run a range of macro years."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from crypto_intel.checks.hours import HOUR_CHECKS as HOUR_CHECKS_BESIDE
from crypto_intel.contracts.alerts import ALERT_REPORT, ALERT_VERDICTS
from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.derived import (
    GOLD_BARS_1D,
    GOLD_BARS_1H,
    GOLD_BARS_5M,
    GOLD_CROSS_VENUE,
    GOLD_INDICATORS,
    GOLD_MARKET_SUMMARY,
    GOLD_REPAIRED_BARS_1M,
    GOLD_RETURNS_VOLATILITY,
    SILVER_NEWS,
    SILVER_QUOTES,
)
from crypto_intel.contracts.macro import (
    MACRO_FEATURES,
    MACRO_FRED_AS_OF,
    MACRO_FRED_OBSERVATIONS,
    MACRO_FRED_SERIES,
    MACRO_RELEASE_DATES,
)
from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.tables import (
    GOLD_BARS_1M,
    GOLD_BURST_ENRICHED,
    GOLD_MARKET_ENRICHED,
    SILVER_GAPS,
    SILVER_TRADES,
)
from crypto_intel.graph.specs import key_of, refetched_key

HOUR_TABLES = (
    SILVER_TRADES,
    SILVER_GAPS,
    SILVER_NEWS,
    SILVER_QUOTES,
    GOLD_BARS_1M,
    GOLD_BARS_5M,
    GOLD_BARS_1H,
    GOLD_MARKET_ENRICHED,
    GOLD_RETURNS_VOLATILITY,
    GOLD_INDICATORS,
    GOLD_MARKET_SUMMARY,
    GOLD_CROSS_VENUE,
)
"""Tables that an hour's run writes; each has a check of its contract."""

HOUR_ASSETS = [
    *(key_of(table) for table in HOUR_TABLES),
    dg.AssetKey(["publish", "bars_1m"]),
    dg.AssetKey(["publish", "market_enriched"]),
    dg.AssetKey(["publish", "gaps"]),
    dg.AssetKey(["publish", "bars_5m"]),
    dg.AssetKey(["publish", "bars_1h"]),
    dg.AssetKey(["publish", "indicators"]),
    dg.AssetKey(["publish", "market_summary"]),
    dg.AssetKey(["publish", "quotes"]),
    dg.AssetKey(["publish", "articles"]),
]
REPAIR_TABLES = (GOLD_REPAIRED_BARS_1M, SILVER_GAPS)
"""Tables that are written when a repair brought trades of an hour that is not made yet."""

REPAIR_ASSETS = [
    *(key_of(table) for table in REPAIR_TABLES),
    dg.AssetKey(["publish", "repaired_bars_1m"]),
    dg.AssetKey(["publish", "gaps"]),
]
REPAIR_CHECKS = [
    *(dg.AssetCheckKey(key_of(table), "contract") for table in REPAIR_TABLES),
    dg.AssetCheckKey(key_of(GOLD_REPAIRED_BARS_1M), "gaps_are_closed"),
]
DAY_ASSETS = [key_of(GOLD_BARS_1D), dg.AssetKey(["publish", "bars_1d"]), key_of(ALERT_REPORT)]
MACRO_ASSETS = [key_of(MACRO_FRED_OBSERVATIONS), dg.AssetKey(["publish", "macro_observations"])]

HOUR_CHECKS = [
    *(dg.AssetCheckKey(key_of(table), "contract") for table in HOUR_TABLES),
    *(dg.AssetCheckKey(key_of(check.table), check.name) for check in HOUR_CHECKS_BESIDE),
    dg.AssetCheckKey(key_of(GOLD_BARS_1M), "stream_equals_batch"),
    dg.AssetCheckKey(dg.AssetKey(["publish", "market_enriched"]), "agrees_with_lake"),
]
DAY_CHECKS = [dg.AssetCheckKey(key_of(table), "contract") for table in (GOLD_BARS_1D, ALERT_REPORT)]
MACRO_CHECKS = [dg.AssetCheckKey(key_of(MACRO_FRED_OBSERVATIONS), "contract")]
FEATURE_TABLES = (MACRO_FRED_AS_OF, MACRO_FEATURES)
CALENDAR_TABLES = (MACRO_FRED_SERIES, MACRO_RELEASE_DATES)


def _contracts(tables: Sequence[Table]) -> list[dg.AssetCheckKey]:
    return [dg.AssetCheckKey(key_of(table), "contract") for table in tables]


def _selection(assets: list[dg.AssetKey], checks: list[dg.AssetCheckKey]) -> dg.AssetSelection:
    # Checks of freshness stand on the same assets, but are judged by the clock and not by a run.
    return dg.AssetSelection.assets(*assets).without_checks() | dg.AssetSelection.checks(*checks)


RETRY_CRASHES = {"dagster/max_retries": "2", "dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose process died is repeated, since every write replaces or upserts. A step that failed is not: its fault is
in the data or the settings, and what passes by itself (a database away, FRED busy) is repeated within the step."""

WEIGHT = "crypto_intel/weight"
HEAVY = {**RETRY_CRASHES, WEIGHT: "heavy", "dagster/max_runtime": "1800"}
"""A minute of a core and more: one at a time, by the run queue's limit for this tag. A run whose process and code
server are both gone is ended by max_runtime (seconds), and then repeated."""

HOURS = {**HEAVY, "dagster/priority": "1"}
"""People wait for an hour's rows more than for what FRED brings."""

LIGHT = {**RETRY_CRASHES, WEIGHT: "light", "dagster/max_runtime": "300", "dagster/priority": "5"}
"""Seconds, and somebody waits for them: beside a heavy one, and before it in the queue."""

ASKING = {**RETRY_CRASHES, WEIGHT: "asking", "dagster/max_runtime": "600", "dagster/priority": "3"}
"""Waits for a venue, and needs next to no CPU: one at a time beside the others, so that no repair waits for it."""

hour_job = dg.define_asset_job(
    "market_hour",
    _selection(HOUR_ASSETS, HOUR_CHECKS),
    tags=HOURS,
    description="An hour of market data: silver, gold, checks, and its publication; and the ledger of gaps as of now.",
)
repair_job = dg.define_asset_job(
    "repaired_minutes",
    _selection(REPAIR_ASSETS, REPAIR_CHECKS),
    tags=LIGHT,
    description="Minutes of a running hour that a repair made whole: folded again, served as the next revision, gaps "
    "proven closed.",
)
burst_job = dg.define_asset_job(
    "news_burst",
    _selection(
        [key_of(GOLD_BURST_ENRICHED), dg.AssetKey(["publish", "burst_enriched"])], _contracts([GOLD_BURST_ENRICHED])
    ),
    tags=LIGHT,
    description="Rows of a running hour around a burst of news: joined and scored as for a closed hour, served as the "
    "next revision.",
)
verdicts_job = dg.define_asset_job(
    "alert_verdicts",
    _selection([key_of(ALERT_VERDICTS)], _contracts([ALERT_VERDICTS])),
    tags=LIGHT,
    description="Alerts of an hour judged again, on demand; by itself it happens as the assets' condition says.",
)
day_job = dg.define_asset_job(
    "market_day",
    _selection(DAY_ASSETS, DAY_CHECKS),
    tags=HEAVY,
    description="A UTC day of market data, on demand; by itself it is made as the assets' conditions say.",
)
macro_job = dg.define_asset_job(
    "macro_years",
    _selection(MACRO_ASSETS, MACRO_CHECKS),
    tags=HEAVY,
    description="Macro observations of a range of series and years, with their vintages: one request a series.",
)
features_job = dg.define_asset_job(
    "macro_features",
    _selection(
        [*(key_of(table) for table in FEATURE_TABLES), dg.AssetKey(["publish", "macro_features"])],
        _contracts(FEATURE_TABLES),
    ),
    tags=HEAVY,
    description="What was known on each day of a range of years, on demand; by itself as the assets' conditions say.",
)
calendar_job = dg.define_asset_job(
    "macro_calendar",
    _selection(
        [key_of(table) for table in CALENDAR_TABLES],
        [*_contracts(CALENDAR_TABLES), dg.AssetCheckKey(key_of(MACRO_FRED_SERIES), "observations_agree")],
    ),
    tags=HEAVY,
    description="What FRED says of its series, and the days on which their releases come out.",
)
refetch_jobs = {
    venue: dg.define_asset_job(
        f"missing_trades_{venue}",
        _selection([refetched_key(venue)], []),
        tags=ASKING,
        description=f"Trades of {venue} that its producer left missing, fetched by id; all that are open now where the "
        "config names none.",
    )
    for venue in TRADE_VENUES
}
JOBS = [hour_job, repair_job, burst_job, verdicts_job, day_job, macro_job, features_job, calendar_job]
JOBS += refetch_jobs.values()
