"""One row per article, in the hour in which it was first seen, with its story and its mood."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.derived import SILVER_NEWS
from crypto_intel.contracts.tables import BRONZE_NEWS
from crypto_intel.core.checks import check_rows
from crypto_intel.core.frames import conform
from crypto_intel.core.news import distinct_articles, with_moods
from crypto_intel.core.sentiment import score
from crypto_intel_tests.crypto_intel import lakes

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def records(*rows: dict[str, Any]) -> pl.LazyFrame:
    return conform(pl.DataFrame(rows, infer_schema_length=None), BRONZE_NEWS).lazy()


def test_an_article_belongs_to_the_hour_in_which_it_was_first_seen() -> None:
    early = lakes.article("a", HOUR - timedelta(hours=3), first_seen_at=HOUR + MINUTE)
    again = lakes.article("a", HOUR - timedelta(hours=3), first_seen_at=HOUR + 61 * MINUTE, kafka_offset=1)
    for hour, ids in ((HOUR - timedelta(hours=3), []), (HOUR, ["a"]), (HOUR + timedelta(hours=1), [])):
        assert distinct_articles(records(early, again), hour)["article_id"].to_list() == ids


def test_articles_of_one_story_share_it_and_one_alone_is_its_own() -> None:
    rows = records(
        lakes.article("a", HOUR), lakes.article("b", HOUR, cluster_id="a", kafka_offset=1), lakes.article("c", HOUR)
    )
    found = distinct_articles(rows, HOUR).sort("article_id")
    assert found.select("article_id", "cluster_id", "is_first").rows() == [
        ("a", "a", True),
        ("b", "a", False),
        ("c", "c", True),
    ]
    assert check_rows(found, SILVER_NEWS).failures == []


@pytest.mark.parametrize(
    ("title", "sign"),
    [
        ("Bitcoin plunges below $60,000 as ETF outflows accelerate", -1),
        ("Exchange hacked: $40M drained from hot wallet", -1),
        ("SEC sues another token issuer", -1),
        ("Ethereum soars to new ATH on ETF approval", 1),
        ("Bulls return as Solana rallies 12%", 1),
        ("Bitcoin trades sideways", 0),
        ("Proof of stake, explained", 0),
    ],
)
def test_a_headline_is_good_or_bad_for_holders(title: str, sign: int) -> None:
    mood = score(title)
    assert (mood > 0) - (mood < 0) == sign
    assert -1 <= mood <= 1


def test_a_text_in_another_language_has_no_mood() -> None:
    rows = records(lakes.article("a", HOUR, title="Bitcoin crash", language="cs"))
    assert distinct_articles(rows, HOUR)["sentiment"].to_list() == [None]


def test_what_the_source_tells_is_kept_and_goes_first_where_news_meet_bars() -> None:
    rows = records(
        lakes.article("a", HOUR, title="Bitcoin crash", sentiment=0.25), lakes.article("b", HOUR, title="Scam")
    )
    found = distinct_articles(rows, HOUR).sort("article_id")
    assert found["sentiment_told"].to_list() == [0.25, None]
    assert (found["sentiment"] < 0).all()
    moods = with_moods(rows.collect())["sentiment"]
    assert moods[0] == 0.25 and moods[1] < 0


def test_people_agree_with_the_mood_more_often_than_not(shared_data: Path) -> None:
    with (shared_data / "news" / "labelled" / "surge_crypto_sentiment.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    judged = [(score(row["Comment Text"]), row["Sentiment"] == "Positive") for row in rows]
    decided = [(mood > 0) == is_good for mood, is_good in judged if mood]
    assert len(decided) > 450
    assert sum(decided) / len(decided) > 0.7
