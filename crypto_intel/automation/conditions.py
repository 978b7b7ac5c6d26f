"""What assets ask for by themselves: a condition each, and the sensors that look at them.

What belongs here: dependants whose cause is an event of Dagster's own log, as the graph states it. What does not:
causes that only the lake or the platform's clock knows (streams.py, rebuilding.py, macro.py), which sensors look for;
where such a cause has dependants here, its sensor reports it as an event of an asset and asks for nothing. An asset is
automated in one of the two ways, never in both.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg

from crypto_intel.automation.jobs import HEAVY, LIGHT
from crypto_intel.contracts.alerts import ALERT_VERDICTS
from crypto_intel.contracts.derived import GOLD_BARS_1D, GOLD_BARS_1H, GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.macro import MACRO_FEATURES, MACRO_FRED_AS_OF
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.graph.specs import CLOSED_DAYS, REACHED_YEARS, key_of
from crypto_intel.operations.alerting import ALERT_KEY

Condition = dg.AutomationCondition[Any]
On = dg.AutomationCondition

RETENTION_CRON = "20 3 * * *"
JUDGED_ANEW_CRON = "40 3 * * *"
JUDGED_ANEW_BACK = timedelta(days=3)
"""People judge alerts for some days; so long their report follows, once a night."""


def _since_asked(key: dg.AssetKey) -> Condition:
    """This dependency was made or told after the asset was asked for last.

    By the times of both, so that what comes while a run is under way is asked for behind it. Dagster compares times
    only where nothing stands between the update and `since`: no `&`, `|`, `~`. By the dependency's name, since causes
    that differ in an `allow` alone would share what they remember.
    """
    return On.asset_matches(key, On.newly_updated()).since(On.newly_requested())


def _together_with(key: dg.AssetKey) -> Condition:
    """This dependency will be asked for now, or was made since by a run that does not make the asset too."""
    return On.any_deps_updated().allow(dg.AssetSelection.assets(key)).since_last_handled()


def _settled(*keys: dg.AssetKey) -> Condition:
    """No run or backfill under way, or in the queue, is still to make these dependencies or the asset."""
    return ~On.any_deps_in_progress().allow(dg.AssetSelection.assets(*keys)) & ~On.in_progress()


_MADE, _REPAIRED = key_of(GOLD_BARS_1M), key_of(GOLD_REPAIRED_BARS_1M)
_DAY, _AS_OF, _FEATURES = key_of(GOLD_BARS_1D), key_of(MACRO_FRED_AS_OF), key_of(MACRO_FEATURES)
_HOUR_IS_MADE = On.asset_matches(_MADE, ~On.missing())
_NIGHT = On.cron_tick_passed(JUDGED_ANEW_CRON).since(On.newly_requested())

WHEN_BARS_ARE_MADE_OR_ALERTS_COME_LATE = (
    (_since_asked(_MADE) | _since_asked(_REPAIRED) | (_since_asked(ALERT_KEY) & _HOUR_IS_MADE))
    & _settled(_MADE, _REPAIRED)
).with_label("bars of the hour are made or repaired, or an alert of a made hour comes")
"""Of alerts/verdicts. An alert of an hour that is not made yet waits for it."""

WHEN_A_DAY_IS_CLOSED_OR_AN_HOUR_MADE_AGAIN = (
    (_since_asked(CLOSED_DAYS) | (_since_asked(key_of(GOLD_BARS_1H)) & ~On.missing())) & _settled(key_of(GOLD_BARS_1H))
).with_label("the day is closed, or an hour that it reads is made again")
"""Of gold/bars_1d. A day that was never made waits for its end, however many of its hours are made."""

WITH_THE_DAYS_BARS = (_together_with(_DAY) & _settled(_DAY)).with_label("the day's bars are made")
"""Of publish/bars_1d."""

WHEN_A_DAY_IS_MADE_OR_JUDGED_ANEW = (
    (
        _together_with(_DAY)
        | (_since_asked(key_of(ALERT_VERDICTS)) & ~On.missing())
        | (_NIGHT & On.in_latest_time_window(JUDGED_ANEW_BACK) & ~On.missing())
    )
    & _settled(_DAY, key_of(ALERT_VERDICTS))
).with_label("the day's bars are made, alerts of it are judged again, or nightly for three days")
"""Of alerts/report."""

WHEN_OBSERVATIONS_REACH_THE_YEAR = (_since_asked(REACHED_YEARS) & ~On.in_progress()).with_label(
    "new observations reach the year"
)
"""Of macro/fred_as_of."""

WITH_WHAT_WAS_KNOWN = (_together_with(_AS_OF) & _settled(_AS_OF)).with_label("what was known in the year is made")
"""Of macro/macro_features."""

WITH_THE_FEATURES = (_together_with(_FEATURES) & _settled(_FEATURES)).with_label("the year's features are made")
"""Of publish/macro_features."""

NIGHTLY = On.on_cron(RETENTION_CRON)
"""Of publish/retention: when little else is asked for."""

_LIGHT_ASSETS = dg.AssetSelection.assets(
    key_of(ALERT_VERDICTS), key_of(GOLD_BARS_1D), dg.AssetKey(["publish", "bars_1d"]), dg.AssetKey(["alerts", "report"])
)
_HEAVY_ASSETS = dg.AssetSelection.assets(
    key_of(MACRO_FRED_AS_OF),
    key_of(MACRO_FEATURES),
    dg.AssetKey(["publish", "macro_features"]),
    dg.AssetKey(["publish", "retention"]),
)

# In the code server, as every other sensor: conditions are those of the code that runs, and a tick can be measured.
CONDITION_SENSORS = [
    dg.AutomationConditionSensorDefinition(
        "light_conditions_sensor",
        target=_LIGHT_ASSETS,
        run_tags=LIGHT,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        emit_backfills=False,
        use_user_code_server=True,
        description="Looks at the conditions of what follows an hour or a day: verdicts, days, reports.",
    ),
    dg.AutomationConditionSensorDefinition(
        "heavy_conditions_sensor",
        target=_HEAVY_ASSETS,
        run_tags=HEAVY,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        use_user_code_server=True,
        description="Looks at the conditions of what follows macro series, a backfill for all years that were reached, "
        "and of what is done nightly.",
    ),
]
"""Two, since a run's tags are its sensor's: what somebody waits for goes beside what may wait."""
