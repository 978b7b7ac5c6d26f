"""NewsAPI's articles: nulls, languages, links and the assets they are about."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import RejectedInput
from streaming.producers.articles import ASSETS, article_id, canonical_url, find_assets
from streaming.producers.newsapi import parse_article, parse_page

SEEN_AT = 1_700_000_000_000_000
ARTICLE = {
    "source": {"id": None, "name": "Wire"},
    "author": None,
    "title": "Bitcoin  rallies",
    "description": "ETH follows.",
    "url": "https://Example.com/a?utm_source=x&id=7#top",
    "urlToImage": None,
    "publishedAt": "2023-11-14T20:00:00Z",
    "content": "Some text… [+1916 chars]",
}


def article(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**ARTICLE, **changes}.items() if v != "absent"}).encode()


def reason(raw: bytes) -> str:
    with pytest.raises(RejectedInput) as caught:
        parse_article(raw, SEEN_AT)
    return caught.value.reason


def test_an_article_keeps_its_clocks_and_is_named_by_its_canonical_address() -> None:
    parsed = parse_article(article(), SEEN_AT)
    assert parsed.url == "https://example.com/a?id=7"
    assert parsed.article_id == article_id("https://example.com/a?id=7")
    assert len(parsed.article_id) == 32
    assert parsed.title == "Bitcoin rallies"
    assert parsed.content == "Some text…"
    assert parsed.symbols == ("BTC", "ETH")
    assert parsed.published_at == 1_699_992_000_000_000
    assert parsed.first_seen_at == SEEN_AT
    assert parsed.language is None


@pytest.mark.parametrize("field", ["description", "content", "author"])
def test_what_may_be_null_may_be_absent_too(field: str) -> None:
    assert parse_article(article(**{field: None}), SEEN_AT).title
    assert parse_article(article(**{field: "absent"}), SEEN_AT).title


def test_an_unnamed_publisher_is_unknown() -> None:
    assert parse_article(article(source={"id": None, "name": None}), SEEN_AT).source == "unknown"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{", "malformed_json"),
        (article(url="absent"), "missing_field"),
        (article(url=5), "wrong_type"),
        (article(url="ftp://x/y"), "bad_url"),
        (article(url="https://[x"), "bad_url"),
        (article(title=None), "missing_field"),
        (article(title="[Removed]"), "removed"),
        (article(publishedAt="yesterday"), "bad_time"),
        (article(publishedAt="0001-01-01T00:00:00Z"), "bad_time"),
        (article(publishedAt="2023-11-14T23:00:00Z"), "future_time"),
    ],
)
def test_an_article_that_cannot_be_used_says_why(raw: bytes, expected: str) -> None:
    assert reason(raw) == expected


@pytest.mark.parametrize(
    "same",
    [
        "https://example.com/a",
        "HTTPS://EXAMPLE.com:443/a#comments",
        "https://example.com/a?utm_medium=rss&utm_source=feed",
        " https://example.com/a?fbclid=1 ",
    ],
)
def test_links_to_one_page_are_one_article(same: str) -> None:
    assert canonical_url(same) == "https://example.com/a"


def test_what_selects_a_page_stays_in_its_address() -> None:
    assert canonical_url("http://example.com:8080?p=1&utm_id=2") == "http://example.com:8080/?p=1"


@pytest.mark.parametrize(
    ("text", "assets"),
    [
        ("BITCOIN and ethereum", ("BTC", "ETH")),
        ("$SOL jumps, Solana's year", ("SOL",)),
        ("solid dots on a sol", ()),
        ("a ripple of ether over the avalanche", ()),
        ("Ripple, Ether and Avalanche", ("ETH", "XRP", "AVAX")),
        ("ADABTC", ()),
        ("BTC-USD falls", ("BTC",)),
    ],
)
def test_assets_are_found_by_name_and_by_ticker_in_capitals(text: str, assets: tuple[str, ...]) -> None:
    assert find_assets(text) == assets


def test_each_tracked_asset_is_found_by_its_ticker() -> None:
    assert find_assets(" ".join(ASSETS)) == tuple(ASSETS)


@pytest.mark.parametrize(
    ("name", "total"), [("everything_bitcoin_20200809", 7724), ("everything_keyword_202108", 2371)]
)
def test_recorded_pages_parse_whole(shared_data: Path, name: str, total: int) -> None:
    page = parse_page((shared_data / "news" / "newsapi" / f"{name}.json").read_bytes())
    articles = [parse_article(bytes(raw), SEEN_AT) for raw in page.articles]
    assert (len(articles), page.totalResults) == (20, total)
    assert len({a.article_id for a in articles}) == 20
    assert all(a.source and a.title for a in articles)


def test_the_venues_own_error_is_told_in_its_words() -> None:
    with pytest.raises(RejectedInput, match="rateLimited: slow down") as caught:
        parse_page(b'{"status":"error","code":"rateLimited","message":"slow down"}')
    assert caught.value.reason == "venue_error"


@given(st.binary())
def test_arbitrary_bytes_are_accepted_or_rejected(raw: bytes) -> None:
    for parse in (parse_page, lambda body: parse_article(body, SEEN_AT)):
        with contextlib.suppress(RejectedInput):
            parse(raw)


@given(st.fixed_dictionaries({}, optional={k: st.none() | st.integers() | st.text() for k in ARTICLE}))
def test_articles_with_arbitrary_fields_are_accepted_or_rejected(changes: dict[str, Any]) -> None:
    with contextlib.suppress(RejectedInput):
        parse_article(article(**changes), SEEN_AT)
