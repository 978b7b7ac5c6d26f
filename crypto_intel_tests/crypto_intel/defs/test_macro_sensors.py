"""Macro sensors follow the calendar, and what was known follows the observations."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from crypto_intel.automation.macro import (
    RANGE_END,
    RANGE_START,
    macro_calendar_sensor,
    macro_sensor,
    reached_years_sensor,
)
from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS, MACRO_RELEASE_DATES
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel.core.hours import HOUR
from crypto_intel.graph.specs import key_of
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.defs.test_sensors import reason
from crypto_intel_tests.crypto_intel.lakes import HOUR as H22

pytestmark = pytest.mark.stack


def ranges(result: dg.SensorResult) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in result.run_requests or []]


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_FRED__API_KEY", "not-a-real-key")


def test_without_a_key_macro_is_skipped_with_the_settings_name(tick: Tick, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22))
    assert "CRYPTO_INTEL_FRED__API_KEY" in reason(tick(macro_sensor))
    assert "CRYPTO_INTEL_FRED__API_KEY" in reason(tick(macro_calendar_sensor))


def test_every_series_is_loaded_first_and_then_what_the_calendar_says(tick: Tick, lake_path: Path, key: None) -> None:
    assert "platform clock" in reason(tick(macro_sensor))
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22))
    first = tick(macro_sensor)
    assert ranges(first) == [("DGS2|2022", "GDPC1|2024")]
    assert ranges(tick(macro_sensor, first.cursor)) == []
    rows = [
        {"release_id": 18, "release_name": "H.15", "release_date": date(2024, 8, 9), "series_ids": ["DGS10", "DGS2"]}
    ]
    lakes.append(lake_path, MACRO_RELEASE_DATES, conform(pl.DataFrame(rows), MACRO_RELEASE_DATES))
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 2 * HOUR, H22 + 2 * HOUR))
    second = tick(macro_sensor, first.cursor)
    assert ranges(second) == [("DGS2|2023", "DGS10|2024")]
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 50 * HOUR, H22 + 50 * HOUR))
    third = tick(macro_sensor, second.cursor)  # what came out later on the day of the second load
    assert ranges(third) == [("DGS2|2023", "DGS10|2024")]
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 74 * HOUR, H22 + 74 * HOUR))
    fourth = tick(macro_sensor, third.cursor)
    assert ranges(fourth) == [] and "nothing was released" in reason(fourth)


def test_the_calendar_is_asked_behind_the_first_observations_and_once_a_week(
    tick: Tick, lake_path: Path, key: None
) -> None:
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22))
    assert "no observations" in reason(tick(macro_calendar_sensor))
    lakes.append(lake_path, MACRO_FRED_OBSERVATIONS, empty_frame(MACRO_FRED_OBSERVATIONS))
    first = tick(macro_calendar_sensor)
    assert len(first.run_requests or []) == 1
    assert tick(macro_calendar_sensor, first.cursor).run_requests == []
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 170 * HOUR, H22 + 170 * HOUR))
    assert len(tick(macro_calendar_sensor, first.cursor).run_requests or []) == 1


def years(result: dg.SensorResult) -> list[str | None]:
    return [event.partition for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]


def test_years_that_new_observations_reach_are_told_once(
    tick: Tick, lake_path: Path, instance: dg.DagsterInstance
) -> None:
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22))
    assert years(tick(reached_years_sensor)) == []
    asset = key_of(MACRO_FRED_OBSERVATIONS)
    for partition in ("DGS10|2020", "DGS10|2021", "GDP|2020"):
        instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))
    first = tick(reached_years_sensor)
    assert (years(first), first.run_requests) == (["2020", "2021", "2022", "2023"], [])
    assert years(tick(reached_years_sensor, first.cursor)) == []
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition="DGS10|2024"))
    assert years(tick(reached_years_sensor, first.cursor)) == ["2024"]
