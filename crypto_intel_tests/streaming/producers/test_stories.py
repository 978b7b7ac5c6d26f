"""Which articles tell one story."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import Article
from streaming.producers.articles import article_id, canonical_url, find_assets, plain, published_us, without_cdata
from streaming.producers.stories import WINDOW_US, Stories

NOW = 1_790_000_000_000_000


def article(title: str, host: str = "a.example", at: int = NOW, path: str = "") -> Article:
    url = f"https://{host}/{path or abs(hash(title))}"
    return Article(
        article_id=article_id(url),
        source=host,
        url=url,
        title=title,
        published_at=at,
        first_seen_at=at,
        symbols=find_assets(title),
    )


def clusters(*articles: Article) -> list[str | None]:
    stories = Stories()
    return [stories.place(article).cluster_id for article in articles]


def are_one(one: str, other: str, after_us: int = 0) -> bool:
    first, second = clusters(article(one), article(other, "b.example", NOW + after_us))
    return first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Florida revives push for bitcoin reserve with new 2026 bill",
            "Florida Revives Bitcoin Reserve Push With New 2026 Bill",
        ),
        (
            "Crypto Firm BitGo Eyes Near $2 Billion Valuation in US IPO",
            "Crypto Firm BitGo Targets Nearly $2B Valuation in US IPO Filing",
        ),
        ("Exchange halts withdrawals", "EXCHANGE HALTS WITHDRAWALS!"),
    ],
)
def test_one_story_in_other_words_is_one(one: str, other: str) -> None:
    assert are_one(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bitcoin falls below $90,000", "Bitcoin falls below $80,000"),
        ("Solana fund wins approval in the US", "XRP fund wins approval in the US"),
        ("Bitcoin rallies", "Regulator sues an exchange"),
    ],
)
def test_other_figures_other_assets_and_other_words_are_other_stories(one: str, other: str) -> None:
    assert not are_one(one, other)


def test_a_publishers_own_columns_are_stories_of_their_own() -> None:
    first, second = clusters(
        article("What happened in crypto today", path="1"), article("What happened in crypto today", path="2")
    )
    assert first != second


def test_after_two_days_the_same_title_is_another_story() -> None:
    assert are_one("Exchange halts withdrawals", "Exchange halts withdrawals", WINDOW_US)
    assert not are_one("Exchange halts withdrawals", "Exchange halts withdrawals", WINDOW_US + 1)


def test_the_same_article_stays_in_its_cluster_however_often_it_comes() -> None:
    stories = Stories()
    first = stories.place(article("Exchange halts withdrawals"))
    retold = article("Exchange halts all withdrawals", "b.example")
    assert stories.place(retold).cluster_id == first.article_id
    assert stories.place(retold).cluster_id == first.article_id
    assert len(stories) == 2


def test_a_restart_goes_on_with_what_was_written() -> None:
    before = Stories()
    written = [
        before.place(article("Exchange halts withdrawals")),
        before.place(article("Exchange halts all withdrawals", "b.example")),
    ]
    again = article("Exchange halts its withdrawals", "c.example")
    assert Stories(written).place(again).cluster_id == before.place(again).cluster_id == written[0].article_id


def test_titles_are_forgotten_beyond_the_bound_and_the_window() -> None:
    stories = Stories(limit=3)
    for number in range(9):
        stories.place(article(f"story {number} of something", path=str(number)))
    assert len(stories) == 3
    stories.place(article("much later", at=NOW + 5 * WINDOW_US))
    assert len(stories) == 1


def test_recorded_titles_of_six_publishers_give_six_pairs_and_no_wrong_one(shared_data: Path) -> None:
    found: list[Article] = []
    with gzip.open(shared_data / "news" / "crypto_articles_sentiment_202601.jsonl.gz", "rt") as lines:
        for item in map(json.loads, lines):
            url, title = canonical_url(without_cdata(item["link"])), plain(item["title"])
            at = published_us(item["pub_date"], 2 * NOW)
            found.append(
                Article(
                    article_id=article_id(url),
                    source=item["source"],
                    url=url,
                    title=title,
                    published_at=at,
                    first_seen_at=at,
                    symbols=find_assets(title),
                )
            )
    found.sort(key=lambda article: article.published_at)
    stories = Stories()
    placed = [stories.place(article) for article in found]
    assert len(placed) == 293
    retold = [article for article in placed if article.cluster_id != article.article_id]
    words = ["Florida", "South Korea", "CLARITY", "UK lawmakers", "H100", "BitGo"]
    assert len(retold) == len(words)
    assert all(any(word in article.title for article in retold) for word in words)


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from("abc"), st.integers(0, 4)), max_size=12))
def test_every_article_is_in_the_cluster_of_an_article_that_came_before(rows: list[tuple[str, str, int]]) -> None:
    stories = Stories(limit=5)
    known: set[str] = set()
    for title, host, days in rows:
        placed = stories.place(article(title, f"{host}.example", NOW + days * WINDOW_US // 2, path=f"{title[:3]!r}"))
        known.add(placed.article_id)
        assert placed.cluster_id in known
