"""Macro series of FRED: which ones, and the tables that hold them with their vintages.

What belongs here: the series and macro's tables. What does not: what was known when (core/macro.py, core/as_of.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.parts import column

Frequency = Literal["Daily", "Weekly", "Monthly", "Quarterly"]


@dataclass(frozen=True)
class Series:
    """A series of FRED as its own metadata tell it: id, frequency of observations, and what it is."""

    series_id: str
    frequency: Frequency
    title: str


FRED_SERIES: tuple[Series, ...] = (
    Series("DGS2", "Daily", "Market Yield on U.S. Treasury Securities at 2-Year Constant Maturity"),
    Series("DGS10", "Daily", "Market Yield on U.S. Treasury Securities at 10-Year Constant Maturity"),
    Series("DGS30", "Daily", "Market Yield on U.S. Treasury Securities at 30-Year Constant Maturity"),
    Series("T10Y2Y", "Daily", "10-Year Minus 2-Year Treasury Constant Maturity"),
    Series("T5YIE", "Daily", "5-Year Breakeven Inflation Rate"),
    Series("T10YIE", "Daily", "10-Year Breakeven Inflation Rate"),
    Series("VIXCLS", "Daily", "CBOE Volatility Index: VIX"),
    Series("DTWEXBGS", "Daily", "Nominal Broad U.S. Dollar Index"),
    Series("DCOILWTICO", "Daily", "Crude Oil Prices: West Texas Intermediate"),
    Series("DCOILBRENTEU", "Daily", "Crude Oil Prices: Brent - Europe"),
    Series("RRPONTSYD", "Daily", "Overnight Reverse Repurchase Agreements: Treasury Securities Sold"),
    Series("ICSA", "Weekly", "Initial Claims"),
    Series("STLFSI4", "Weekly", "St. Louis Fed Financial Stress Index"),
    Series("ANFCI", "Weekly", "Chicago Fed Adjusted National Financial Conditions Index"),
    Series("WALCL", "Weekly", "Assets: Total Assets: Total Assets (Less Eliminations from Consolidation)"),
    Series("WM2NS", "Weekly", "M2 (Not Seasonally Adjusted)"),
    Series("FEDFUNDS", "Monthly", "Federal Funds Effective Rate"),
    Series("CPIAUCSL", "Monthly", "Consumer Price Index for All Urban Consumers: All Items in U.S. City Average"),
    Series("CPILFESL", "Monthly", "Consumer Price Index for All Urban Consumers: All Items Less Food and Energy"),
    Series("PCEPILFE", "Monthly", "Personal Consumption Expenditures Excluding Food and Energy (Price Index)"),
    Series("UNRATE", "Monthly", "Unemployment Rate"),
    Series("U6RATE", "Monthly", "Total Unemployed, Plus All Persons Marginally Attached to the Labor Force (U-6)"),
    Series("CIVPART", "Monthly", "Labor Force Participation Rate"),
    Series("PAYEMS", "Monthly", "All Employees, Total Nonfarm"),
    Series("AHETPI", "Monthly", "Average Hourly Earnings of Production and Nonsupervisory Employees"),
    Series("JTSJOL", "Monthly", "Job Openings: Total Nonfarm"),
    Series("INDPRO", "Monthly", "Industrial Production: Total Index"),
    Series("CFNAI", "Monthly", "Chicago Fed National Activity Index"),
    Series("HOUST", "Monthly", "New Privately-Owned Housing Units Started: Total Units"),
    Series("RSXFS", "Monthly", "Advance Retail Sales: Retail Trade"),
    Series("M2SL", "Monthly", "M2"),
    Series("USREC", "Monthly", "NBER based Recession Indicators for the United States"),
    Series("GDP", "Quarterly", "Gross Domestic Product"),
    Series("GDPC1", "Quarterly", "Real Gross Domestic Product"),
)
"""Every series that is loaded: the most frequent first, so that those of one release day stand together."""

SERIES_IDS = tuple(series.series_id for series in FRED_SERIES)

MACRO_COLUMNS = (
    column("fed_funds_pct", "double", "FRED FEDFUNDS as known at window_end, in percent.", nullable=True),
    column("treasury_10y_pct", "double", "FRED DGS10 as known at window_end, in percent.", nullable=True),
    column(
        "yield_curve_10y2y_pct", "double", "FRED T10Y2Y as known at window_end, in points of percent.", nullable=True
    ),
    column("vix_index", "double", "VIX close as known at window_end, an index.", nullable=True),
    column("dollar_index", "double", "FRED DTWEXBGS as known at window_end, an index.", nullable=True),
    column("cpi_yoy_pct", "double", "FRED CPIAUCSL against a year before, as known at window_end.", nullable=True),
)
MACRO_SERIES = {
    "fed_funds_pct": "FEDFUNDS",
    "treasury_10y_pct": "DGS10",
    "yield_curve_10y2y_pct": "T10Y2Y",
    "vix_index": "VIXCLS",
    "dollar_index": "DTWEXBGS",
    "cpi_yoy_pct": "CPIAUCSL",
}
"""market_enriched's macro columns and the FRED series that each derives from."""

_SERIES = column("series_id", "string", "FRED series, e.g. CPIAUCSL.")
MACRO_FRED_OBSERVATIONS = Table(
    "macro",
    "fred_observations",
    "Observations of FRED series with their vintages: a revision adds a row and never rewrites one.",
    (
        _SERIES,
        column("observation_date", "date", "Period that the value is of."),
        column("value", "double", 'Value in the series\' own unit; null where FRED says "." (missing).', nullable=True),
        column("realtime_start", "date", "First day on which this value was the current one."),
        column("realtime_end", "date", "Last such day; 9999-12-31 while it still is."),
        column("fetched_at", "timestamp", "When we first fetched it."),
        column("observation_year", "string", "Year of observation_date; the table is partitioned by series and year."),
    ),
    ("series_id", "observation_date", "realtime_start"),
    "dagster",
    ("series_id", "observation_year"),
    "observation_date",
)
MACRO_FRED_SERIES = Table(
    "macro",
    "fred_series",
    "What FRED says of each series: unit, frequency, first and last period, and the release that publishes it.",
    (
        _SERIES,
        column("title", "string", "Its name."),
        column("frequency", "string", "How often a period ends.", allowed=("Daily", "Weekly", "Monthly", "Quarterly")),
        column("units", "string", "Unit of its values."),
        column("seasonal_adjustment", "string", "Whether seasons are taken out, and how."),
        column("observation_start", "date", "First period."),
        column("observation_end", "date", "Last period that FRED has."),
        column("last_updated", "timestamp", "When FRED last changed it."),
        column("release_id", "bigint", "Release that publishes it.", minimum=1),
        column("release_name", "string", "Name of that release."),
        column("fetched_at", "timestamp", "When we fetched this."),
    ),
    ("series_id",),
    "dagster",
    (),
    "last_updated",
)
MACRO_RELEASE_DATES = Table(
    "macro",
    "release_dates",
    "Days on which releases come out, those announced for the months ahead included.",
    (
        column("release_id", "bigint", "Release.", minimum=1),
        column("release_name", "string", "Its name."),
        column("release_date", "date", "Day on which it came out or will."),
        column("series_ids", "array<string>", "Series of ours that it publishes, sorted."),
    ),
    ("release_id", "release_date"),
    "dagster",
    (),
    "release_date",
)
_AS_OF = (column("as_of_date", "date", "UTC day of the reader; a value released on a day counts from the day after."),)
_AS_OF_YEAR = (column("as_of_year", "string", "Year of as_of_date; the table is partitioned by it."),)
MACRO_FRED_AS_OF = Table(
    "macro",
    "fred_as_of",
    "What a reader of a day could know: of each series the newest period with a value, in the vintage of that day.",
    (
        *_AS_OF,
        _SERIES,
        column("observation_date", "date", "Newest period known."),
        column("value", "double", "Its value as known on the day, in the series' own unit."),
        column("realtime_start", "date", "Day of the release that this value is from."),
        column("age_days", "int", "as_of_date less observation_date.", minimum=0),
        column("value_year_before", "double", "Same period a year before, as known on the day.", nullable=True),
        column("yoy_pct", "double", "100 x (value / value_year_before - 1).", nullable=True),
        *_AS_OF_YEAR,
    ),
    ("series_id", "as_of_date"),
    "dagster",
    ("as_of_year",),
    "as_of_date",
)


FEATURE_SOURCES: dict[str, tuple[str, Literal["value", "yoy_pct"], str]] = {
    "fed_funds_pct": ("FEDFUNDS", "value", "Effective federal funds rate, in percent."),
    "treasury_2y_pct": ("DGS2", "value", "2-year Treasury yield, in percent."),
    "treasury_10y_pct": ("DGS10", "value", "10-year Treasury yield, in percent."),
    "treasury_30y_pct": ("DGS30", "value", "30-year Treasury yield, in percent."),
    "yield_curve_10y2y_pct": ("T10Y2Y", "value", "10-year less 2-year yield, in points of percent."),
    "breakeven_10y_pct": ("T10YIE", "value", "10-year breakeven inflation, in percent."),
    "vix_index": ("VIXCLS", "value", "VIX close, an index."),
    "dollar_index": ("DTWEXBGS", "value", "Broad dollar index."),
    "oil_wti_usd": ("DCOILWTICO", "value", "WTI crude oil, US dollars a barrel."),
    "financial_stress_index": ("STLFSI4", "value", "St. Louis Fed's stress index; 0 is normal."),
    "initial_claims": ("ICSA", "value", "Initial jobless claims of a week."),
    "cpi_yoy_pct": ("CPIAUCSL", "yoy_pct", "Consumer prices against a year before, in percent."),
    "core_cpi_yoy_pct": ("CPILFESL", "yoy_pct", "The same without food and energy."),
    "unemployment_pct": ("UNRATE", "value", "Unemployment rate, in percent."),
    "payrolls_yoy_pct": ("PAYEMS", "yoy_pct", "Nonfarm employees against a year before, in percent."),
    "industrial_production_yoy_pct": ("INDPRO", "yoy_pct", "Industrial production against a year before, in percent."),
    "m2_yoy_pct": ("M2SL", "yoy_pct", "Money M2 against a year before, in percent."),
    "fed_assets_yoy_pct": ("WALCL", "yoy_pct", "The Fed's assets against the same week a year before, in percent."),
    "real_gdp_yoy_pct": ("GDPC1", "yoy_pct", "Real GDP against a year before, in percent."),
}
"""macro_features' columns: the series, which column of macro.fred_as_of, and what it says."""

MACRO_FEATURES = Table(
    "macro",
    "macro_features",
    "One row a UTC day: macro values as a reader of that day could know them, ready to join with markets.",
    (
        *_AS_OF,
        *(column(name, "double", doc, nullable=True) for name, (_, _, doc) in FEATURE_SOURCES.items()),
        column("real_10y_pct", "double", "10-year yield less 10-year breakeven, in percent.", nullable=True),
        column("known_series", "bigint", "Series with a value on the day.", minimum=0),
        *_AS_OF_YEAR,
    ),
    ("as_of_date",),
    "dagster",
    ("as_of_year",),
    "as_of_date",
)

MACRO_TABLES = (
    MACRO_FRED_OBSERVATIONS,
    MACRO_FRED_SERIES,
    MACRO_RELEASE_DATES,
    MACRO_FRED_AS_OF,
    MACRO_FEATURES,
)
"""All of them."""
