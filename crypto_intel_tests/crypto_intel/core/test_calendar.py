"""Macro series are loaded when their release came out."""

from datetime import date, timedelta

import polars as pl

from crypto_intel.contracts.macro import MACRO_RELEASE_DATES, SERIES_IDS
from crypto_intel.core.calendar import EVERYTHING_EVERY, MacroCursor, advance, next_load, series_due
from crypto_intel.core.frames import conform, empty_frame

TODAY = date(2024, 8, 9)
DAY = timedelta(days=1)
UNKNOWN = empty_frame(MACRO_RELEASE_DATES)


def calendar(*days: tuple[date, list[str]]) -> pl.DataFrame:
    rows = [{"release_id": 1, "release_name": "A", "release_date": day, "series_ids": ids} for day, ids in days]
    return conform(pl.DataFrame(rows), MACRO_RELEASE_DATES)


def loaded(days_ago: int = 1, everything: int = 1) -> MacroCursor:
    return MacroCursor(TODAY - days_ago * DAY, TODAY - everything * DAY)


def test_at_first_every_series_is_loaded_of_three_years() -> None:
    load = next_load(TODAY, MacroCursor(), UNKNOWN)
    assert load is not None
    assert (load.first_series, load.last_series) == (SERIES_IDS[0], SERIES_IDS[-1])
    assert (load.first_year, load.last_year) == (2022, 2024)


def test_a_day_is_asked_for_once() -> None:
    cursor = advance(MacroCursor(), TODAY, next_load(TODAY, MacroCursor(), UNKNOWN))
    assert next_load(TODAY, cursor, UNKNOWN) is None
    assert next_load(TODAY - DAY, cursor, UNKNOWN) is None  # a clock that goes back


def test_only_what_came_out_since_the_last_load_is_due() -> None:
    dates = calendar((TODAY, ["DGS10"]), (TODAY - DAY, ["DGS2"]), (TODAY - 2 * DAY, ["GDP"]), (TODAY + DAY, ["UNRATE"]))
    assert series_due(dates, TODAY - DAY, TODAY) == ["DGS2", "DGS10"]
    load = next_load(TODAY, loaded(), dates)
    assert load is not None
    assert (load.first_series, load.last_series, load.first_year) == ("DGS2", "DGS10", 2023)


def test_on_a_day_without_a_release_nothing_is_loaded_and_the_day_is_done() -> None:
    dates = calendar((TODAY + DAY, ["DGS10"]))
    assert next_load(TODAY, loaded(), dates) is None
    assert advance(loaded(), TODAY, None) == MacroCursor(TODAY, TODAY - DAY)


def test_without_a_calendar_and_once_a_week_every_series_is_loaded() -> None:
    for cursor, dates in (
        (loaded(), UNKNOWN),
        (loaded(everything=EVERYTHING_EVERY.days), calendar((TODAY, ["DGS10"]))),
    ):
        load = next_load(TODAY, cursor, dates)
        assert load is not None and load.last_series == SERIES_IDS[-1] and load.first_year == 2023
        assert advance(cursor, TODAY, load).everything_on == TODAY
