"""What was known on many days at once is what was known on each of them."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_intel.contracts.macro import MACRO_FEATURES, MACRO_FRED_AS_OF, MACRO_SERIES
from crypto_intel.core.as_of import fred_as_of, macro_features
from crypto_intel.core.checks import check_rows
from crypto_intel.core.macro import known_on, macro_values, parse_observations
from crypto_intel_tests.crypto_intel.core.test_macro import FOREVER, observed
from streaming.simulator.fred import MacroSource, Query, observations

FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@st.composite
def vintages(draw: st.DrawFn) -> pl.DataFrame:
    """A series whose periods are released, revised and withdrawn in any order."""
    rows = []
    for period in draw(st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True)):
        start = draw(st.integers(period, period + 40))
        for _ in range(draw(st.integers(1, 3))):
            length = draw(st.integers(0, 30))
            value = draw(st.sampled_from([".", "1.5", "2.5", "-3"]))
            ends = draw(st.booleans())
            first, last = date(2024, 1, 1) + start * DAY, date(2024, 1, 1) + (start + length) * DAY
            rows.append((str(date(2024, 1, 1) + period * DAY), value, str(first), str(last) if ends else FOREVER))
            if not ends:
                break
            start += length + 1
    return observed("DGS10", *rows)


@settings(max_examples=40, deadline=None)
@given(vintages())
def test_the_newest_period_of_each_day_is_the_one_that_was_known_on_it(told: pl.DataFrame) -> None:
    first, last = date(2023, 12, 30), date(2024, 5, 30)
    found = {row["as_of_date"]: row for row in fred_as_of(told, first, last).iter_rows(named=True)}
    day = first
    while day <= last:
        known = known_on(told, day).sort("observation_date", "realtime_start")
        if known.is_empty():
            assert day not in found
        else:
            truth = known.row(-1, named=True)
            row = found[day]
            assert [row[name] for name in ("observation_date", "value", "realtime_start")] == [
                truth[name] for name in ("observation_date", "value", "realtime_start")
            ]
        day += DAY


@pytest.fixture(scope="module")
def simulated() -> pl.DataFrame:
    """Five years of simulated series with every vintage."""
    source, today = MacroSource(seed=7), date(2024, 12, 31)
    span = Query(date(2019, 1, 1), date(9999, 12, 31), date(2019, 1, 1))
    return pl.concat(
        parse_observations(name, observations(source, name, span, today)["observations"], FETCHED)
        for name in (*MACRO_SERIES.values(), "WALCL", "GDPC1", "DGS2", "T10YIE")
    )


def test_features_are_the_macro_columns_of_enriched_rows(simulated: pl.DataFrame) -> None:
    first, last = date(2023, 12, 20), date(2024, 3, 10)
    as_of = fred_as_of(simulated, first, last)
    features = macro_features(as_of, first, last)
    assert check_rows(as_of, MACRO_FRED_AS_OF).failures == []
    assert check_rows(features, MACRO_FEATURES).failures == []
    for day in (first, date(2024, 2, 12), date(2024, 2, 13), date(2024, 2, 29), last):
        row = features.row(by_predicate=pl.col("as_of_date") == day, named=True)
        truth = macro_values(simulated, day)
        assert {name: row[name] for name in truth} == pytest.approx(truth)
    assert features["fed_assets_yoy_pct"].null_count() == 0  # a week has no same date a year before, but 52 weeks
    assert features["real_gdp_yoy_pct"].null_count() == 0


def test_gdp_as_of_2019_is_what_the_recorded_vintages_say(shared_data: Path) -> None:
    folder = shared_data / "fred" / "api_json"
    told = json.loads(gzip.decompress((folder / "observations_GDP_vintages_asof_2019.json.gz").read_bytes()))
    rows = parse_observations("GDP", told["observations"], FETCHED)
    known = known_on(rows, date(2019, 1, 1))
    assert known["observation_date"].is_unique().all()
    assert known.height == 287  # each quarter since 1947 once, of 2,902 vintages
    found = fred_as_of(rows, date(2018, 10, 25), date(2019, 1, 1))
    values = dict(found.select("as_of_date", "value").iter_rows())
    quarters = dict(found.select("as_of_date", "observation_date").iter_rows())
    assert values[date(2019, 1, 1)] == 20658.204  # the third estimate of 2018-12-21
    assert (
        values[date(2018, 12, 21)] == values[date(2018, 11, 29)] == 20660.34
    )  # released on a day, known the day after
    assert values[date(2018, 11, 28)] == values[date(2018, 10, 27)] == 20659.029
    assert quarters[date(2018, 10, 26)] == date(2018, 4, 1)  # the third quarter came out on this day


def test_the_price_index_that_was_never_published_is_missing_and_the_month_before_stays_known(
    shared_data: Path,
) -> None:
    source, today = MacroSource(seed=7, folder=shared_data / "fred" / "csv"), date(2025, 12, 31)
    told = observations(source, "CPIAUCSL", Query(date(2022, 1, 1), date(9999, 12, 31), date(2022, 1, 1)), today)
    rows = parse_observations("CPIAUCSL", told["observations"], FETCHED)
    october = rows.filter(pl.col("observation_date") == date(2025, 10, 1))
    assert october["value"].to_list() == [None]
    found = fred_as_of(rows, date(2025, 11, 14), date(2025, 12, 20))
    periods = dict(found.select("as_of_date", "observation_date").iter_rows())
    assert periods[date(2025, 11, 30)] == date(2025, 9, 1)
    assert periods[date(2025, 12, 20)] == date(2025, 11, 1)
    assert found["value_year_before"].null_count() == 0
