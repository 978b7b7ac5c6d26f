"""An enriched row is its bar, the news around its end, and the macro values of its day."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.tables import BRONZE_NEWS, GOLD_BARS_1M, GOLD_MARKET_ENRICHED, MACRO_FRED_OBSERVATIONS
from crypto_intel.core.enrich import enrich
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel.core.macro import parse_observations
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.lakes import article

START = lakes.HOUR
END = START + timedelta(minutes=1)
KNOWN_AT = datetime(2024, 8, 8, 23, 7, tzinfo=UTC)
NO_NEWS = empty_frame(BRONZE_NEWS)
NO_MACRO = empty_frame(MACRO_FRED_OBSERVATIONS)


def bar(start: datetime = START, symbol: str = "BTC-USDT", **other: Any) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), 100.0)
    volumes = {"volume_base": 1.0, "volume_quote": 100.0, "buy_volume_base": 0.5, "trade_count": 2}
    return {
        "venue": "binance",
        "symbol": symbol,
        "window_start": start,
        "window_end": start + timedelta(minutes=1),
        **prices,
        **volumes,
        "return_pct": None,
        "volatility_pct": 0.0,
        "first_trade_id": 1,
        "last_trade_id": 2,
        "coverage_pct": 100.0,
        "completeness": "complete",
        "completeness_reason": "",
        "event_hour": "2024-08-08-22",
        **other,
    }


def bars(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(list(rows or [bar()])), GOLD_BARS_1M)


def news(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(list(rows)), BRONZE_NEWS)


def row_of(frame: pl.DataFrame) -> dict[str, Any]:
    assert frame.height == 1
    return frame.row(0, named=True)


def test_a_bar_without_news_or_macro_is_a_final_row_all_the_same() -> None:
    row = row_of(enrich(bars(), NO_NEWS, NO_MACRO, known_at=KNOWN_AT))
    assert row["news_count"] == 0 and row["article_ids"] == [] and row["sentiment_mean"] is None
    assert row["cpi_yoy_pct"] is None
    assert (row["is_final"], row["revision"], row["known_at"]) == (True, 1, KNOWN_AT)


@pytest.mark.parametrize(
    ("seconds", "before", "after"), [(-300, 1, 0), (-301, 0, 0), (0, 1, 0), (1, 0, 1), (300, 0, 1), (301, 0, 0)]
)
def test_news_counts_within_five_minutes_of_the_window_end(seconds: int, before: int, after: int) -> None:
    found = row_of(enrich(bars(), news(article("a", END + timedelta(seconds=seconds))), NO_MACRO, known_at=KNOWN_AT))
    assert (found["news_before_count"], found["news_after_count"]) == (before, after)
    assert found["news_count"] == before + after


def test_an_article_seen_twice_counts_once() -> None:
    once = article("a", END)
    again = {**once, "kafka_offset": 9, "first_seen_at": END + timedelta(hours=1)}
    assert row_of(enrich(bars(), news(again, once), NO_MACRO, known_at=KNOWN_AT))["news_count"] == 1


def test_news_belongs_to_bars_of_its_asset_only() -> None:
    rows = enrich(
        bars(bar(), bar(symbol="ETH-USDT"), bar(symbol="ETH-BTC")),
        news(article("b", END, ["ETH", "SOL"]), article("a", END, ["ETH"]), article("c", END, [])),
        NO_MACRO,
        known_at=KNOWN_AT,
    )
    assert dict(rows.select("symbol", "article_ids").rows()) == {
        "BTC-USDT": [],
        "ETH-BTC": ["a", "b"],
        "ETH-USDT": ["a", "b"],
    }


def test_sentiment_is_the_mean_of_the_scored_articles() -> None:
    scored = news(article("a", END), article("b", END), article("c", END)).with_columns(
        sentiment=pl.Series([0.5, -0.1, None])
    )
    assert row_of(enrich(bars(), scored, NO_MACRO, known_at=KNOWN_AT))["sentiment_mean"] == pytest.approx(0.2)


def test_macro_values_are_those_known_on_the_day_of_the_window_end() -> None:
    observation = {
        "date": "2024-08-07",
        "value": "3.96",
        "realtime_start": "2024-08-08",
        "realtime_end": "9999-12-31",
    }
    macro = parse_observations("DGS10", [observation], KNOWN_AT)
    midnight = datetime(2024, 8, 9, tzinfo=UTC)
    rows = enrich(
        bars(bar(midnight - timedelta(minutes=2)), bar(midnight - timedelta(minutes=1))),
        NO_NEWS,
        macro,
        known_at=KNOWN_AT,
    )
    assert rows["treasury_10y_pct"].to_list() == [None, 3.96]


def test_a_repeated_run_changes_nothing() -> None:
    first = enrich(bars(), news(article("a", END)), NO_MACRO, known_at=KNOWN_AT)
    again = enrich(bars(), news(article("a", END)), NO_MACRO, known_at=KNOWN_AT + timedelta(hours=1), before=first)
    assert again.equals(first)


def test_a_changed_row_gets_the_next_revision_and_its_own_known_at() -> None:
    later = KNOWN_AT + timedelta(hours=1)
    first = enrich(bars(bar(), bar(END)), NO_NEWS, NO_MACRO, known_at=KNOWN_AT)
    again = enrich(bars(bar(close=101.0), bar(END)), NO_NEWS, NO_MACRO, known_at=later, before=first)
    assert again.select("revision", "known_at").rows() == [(2, later), (1, KNOWN_AT)]


def test_rows_have_the_columns_of_the_contract_and_are_sorted() -> None:
    rows = enrich(bars(bar(END), bar()), NO_NEWS, NO_MACRO, known_at=KNOWN_AT)
    assert rows.schema == empty_frame(GOLD_MARKET_ENRICHED).schema
    assert rows["window_start"].to_list() == [START, END]
    assert enrich(empty_frame(GOLD_BARS_1M), NO_NEWS, NO_MACRO, known_at=KNOWN_AT).is_empty()


def test_of_articles_that_tell_one_story_the_first_counts() -> None:
    both = news(
        article("again", END, cluster_id="story", first_seen_at=END + timedelta(seconds=9)),
        article("first", END, cluster_id="story", first_seen_at=END),
    )
    row = row_of(enrich(bars(), both, NO_MACRO, known_at=KNOWN_AT))
    assert (row["news_count"], row["article_ids"]) == (1, ["first"])


def test_the_clock_says_which_of_an_articles_times_counts() -> None:
    late = news(article("a", END - timedelta(seconds=5), first_seen_at=END + timedelta(hours=1)))
    published = row_of(enrich(bars(), late, NO_MACRO, known_at=KNOWN_AT, clock="published"))
    first_seen = row_of(enrich(bars(), late, NO_MACRO, known_at=KNOWN_AT, clock="first_seen"))
    assert (published["news_before_count"], first_seen["news_count"]) == (1, 0)
