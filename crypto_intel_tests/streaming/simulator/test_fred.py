"""Macro series: what was known on a day, in FRED's form."""

from __future__ import annotations

import itertools
import json
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from crypto_intel.contracts.macro import MACRO_SERIES, SERIES_IDS
from streaming.errors import RejectedInput
from streaming.simulator.fred import FOREVER, MacroSource, Query, observations, released_on, series
from streaming.simulator.fred_series import SERIES

TODAY = date(2026, 11, 20)
SOURCE = MacroSource(seed=7)


def query(**changes: object) -> Query:
    return Query(**{"realtime_start": TODAY, "realtime_end": TODAY, **changes})  # type: ignore[arg-type]


@cache
def all_vintages(series_id: str, today: date = TODAY) -> list[dict[str, str]]:
    wanted = query(realtime_start=date(1776, 7, 4), realtime_end=FOREVER)
    rows: list[dict[str, str]] = observations(SOURCE, series_id, wanted, today)["observations"]
    return rows


def test_the_series_are_those_of_the_contract() -> None:
    assert set(SERIES) == set(SERIES_IDS) > set(MACRO_SERIES.values())


@pytest.mark.parametrize("series_id", sorted(SERIES))
def test_nothing_is_known_before_its_release(series_id: str) -> None:
    for row in all_vintages(series_id):
        assert row["realtime_start"] > row["date"]
        assert row["realtime_start"] <= str(TODAY)


@pytest.mark.parametrize("series_id", sorted(SERIES))
def test_values_are_plausible_numbers_or_missing(series_id: str) -> None:
    values = [row["value"] for row in all_vintages(series_id)]
    numbers = [float(v) for v in values if v != "."]
    assert len(numbers) > 150
    if series_id != "CPIAUCSL":  # its process is inflation, its values are the level that follows
        info = SERIES[series_id]
        assert all(abs(number - info.mean) < 7 * info.spread + 10**-info.decimals for number in numbers)


def test_holidays_are_missing_in_daily_series() -> None:
    rows = {row["date"]: row["value"] for row in all_vintages("DGS10")}
    assert rows["2025-12-25"] == "."
    assert rows["2025-07-04"] == "."
    assert rows["2025-07-03"] != "."


def test_prices_are_revised_each_february_without_overlap() -> None:
    rows = [row for row in all_vintages("CPIAUCSL") if row["date"] == "2015-06-01"]
    assert [row["realtime_start"][:7] for row in rows] == ["2015-07"] + [f"{y}-02" for y in range(2016, 2021)]
    for earlier, later in itertools.pairwise(rows):
        assert earlier["realtime_end"] < later["realtime_start"]
    assert rows[-1]["realtime_end"] == "9999-12-31"


def test_a_revision_is_not_known_before_it_is_made() -> None:
    before = [r for r in all_vintages("CPIAUCSL", date(2016, 1, 1)) if r["date"] == "2015-06-01"]
    assert len(before) == 1
    assert before[0]["realtime_end"] == "9999-12-31"


def test_by_default_each_period_has_the_value_of_today() -> None:
    rows = observations(SOURCE, "CPIAUCSL", query(), TODAY)["observations"]
    assert len({row["date"] for row in rows}) == len(rows)
    assert {row["realtime_start"] for row in rows} == {str(TODAY)}


def test_a_past_day_sees_the_vintage_of_that_day() -> None:
    day = date(2015, 8, 1)
    rows = observations(SOURCE, "CPIAUCSL", query(realtime_start=day, realtime_end=day), TODAY)["observations"]
    first = next(row for row in all_vintages("CPIAUCSL") if row["date"] == "2015-06-01")
    assert next(row for row in rows if row["date"] == "2015-06-01")["value"] == first["value"]


def test_initial_releases_only_are_one_a_period() -> None:
    wanted = query(realtime_start=date(1776, 7, 4), realtime_end=FOREVER, output_type=4)
    rows = observations(SOURCE, "CPIAUCSL", wanted, TODAY)["observations"]
    assert len({row["date"] for row in rows}) == len(rows)
    assert rows[0]["realtime_start"] == "1980-02-12"


def test_pages_and_order_are_as_asked_for() -> None:
    body = observations(SOURCE, "FEDFUNDS", query(sort_order="desc", limit=2, offset=1), TODAY)
    assert [row["date"] for row in body["observations"]] == ["2026-09-01", "2026-08-01"]
    assert body["count"] > 500


def test_an_unknown_series_is_refused_in_freds_words() -> None:
    with pytest.raises(RejectedInput, match="The series does not exist"):
        observations(SOURCE, "NOPE", query(), TODAY)


@pytest.mark.parametrize(
    ("release", "period", "day"),
    [
        ("next business day", date(2026, 11, 20), date(2026, 11, 23)),
        ("monday after", date(2026, 11, 18), date(2026, 11, 23)),
        ("first business day", date(2026, 7, 1), date(2026, 8, 3)),
        ("twelfth", date(2026, 11, 1), date(2026, 12, 14)),
        ("thursday after", date(2026, 11, 21), date(2026, 11, 27)),  # the Thursday is Thanksgiving
        ("first friday", date(2026, 11, 1), date(2026, 12, 4)),
        ("quarterly", date(2026, 7, 1), date(2026, 10, 26)),
    ],
)
def test_release_days_are_business_days_after_the_period(release: str, period: date, day: date) -> None:
    assert released_on(release, period) == day  # type: ignore[arg-type]


def test_recorded_series_are_served_instead_where_present(shared_data: Path) -> None:
    recorded = MacroSource(seed=7, folder=shared_data / "fred" / "csv")
    rows = observations(recorded, "CPIAUCSL", query(), TODAY)["observations"]
    by_date = {row["date"]: row["value"] for row in rows}
    assert len(rows) == 551
    assert by_date["1980-01-01"] == "78.0"
    assert by_date["2025-10-01"] == "."  # never published
    assert recorded.known("VIXCLS", TODAY)  # not recorded: from the process


def test_envelopes_have_the_fields_of_recorded_ones(shared_data: Path) -> None:
    folder = shared_data / "fred" / "api_json"
    recorded = json.loads((folder / "observations_GDP.json").read_bytes())
    simulated = observations(SOURCE, "DGS10", query(), TODAY)
    assert list(simulated) == list(recorded)
    assert list(simulated["observations"][0]) == list(recorded["observations"][0])
    info = json.loads((folder / "series_GDP.json").read_bytes())
    assert list(series(SOURCE, "DGS10", TODAY)["seriess"][0]) == list(info["seriess"][0])
