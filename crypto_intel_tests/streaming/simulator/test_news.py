"""The simulated wire: deterministic, named as simulated, ahead of the moves that it tells of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streaming.errors import RejectedInput
from streaming.producers.newsapi import parse_article
from streaming.producers.stories import Stories
from streaming.simulator.events import HOUR_S, events_of_hour
from streaming.simulator.market import INSTRUMENTS
from streaming.simulator.news import SOURCE, NewsWire, page, query_words
from streaming.simulator.paths import PricePaths

HOUR = 480_000
HOUR_US = HOUR_S * 1_000_000
BASES = [i.symbol.base for i in INSTRUMENTS]


def wire(start_us: int = HOUR * HOUR_US, assets: list[str] = BASES) -> NewsWire:
    return NewsWire(7, assets, start_us)


def test_articles_are_the_same_whenever_they_are_asked_for() -> None:
    until = (HOUR + 2) * HOUR_US
    assert wire().published(HOUR * HOUR_US, until) == wire().published(0, until)


def test_an_article_appears_about_every_half_minute() -> None:
    articles = wire().published(HOUR * HOUR_US, (HOUR + 5) * HOUR_US)
    assert 20 <= 5 * HOUR_S / len(articles) <= 40
    assert len({a.url for a in articles}) == len(articles)


def test_nothing_is_published_before_the_start_or_in_the_future() -> None:
    start, now = HOUR * HOUR_US + 600_000_000, HOUR * HOUR_US + 1_800_000_000
    times = [a.published_us for a in wire(start).published(0, now)]
    assert times == sorted(times, reverse=True)
    assert start <= times[-1]
    assert times[0] <= now


def test_every_text_says_that_it_is_simulated() -> None:
    for article in wire().published(0, (HOUR + 1) * HOUR_US):
        body = article.as_json()
        assert body["title"].startswith("Simulated: ")
        assert body["source"]["name"] == SOURCE


def test_the_producer_finds_the_asset_that_an_article_is_about() -> None:
    for article in wire().published(0, (HOUR + 2) * HOUR_US):
        parsed = parse_article(json.dumps(article.as_json()).encode(), article.published_us)
        assert parsed.symbols == (article.asset,)
        assert parsed.published_at == article.published_us


def test_a_replay_writes_about_its_own_assets_only() -> None:
    articles = wire(assets=["BTC", "ETH"]).published(0, (HOUR + 1) * HOUR_US)
    assert {a.asset for a in articles} == {"BTC", "ETH"}


def test_good_news_is_followed_by_a_rise_and_bad_news_by_a_fall() -> None:
    path = PricePaths(7, HOUR * HOUR_US).hour(0).log_price
    events = events_of_hour(7, HOUR, len(BASES))
    strong = (np.abs(events.log_move) > 0.008) & events.is_reported & (events.second < HOUR_S - 120)
    told, done = [], []
    for second, asset, move in zip(events.second[strong], events.asset[strong], events.log_move[strong], strict=True):
        told.append(move)
        done.append(path[asset, int(second) + 90] - path[asset, int(second)])
    assert len(told) >= 8
    assert np.corrcoef(told, done)[0, 1] > 0.8


def test_a_burst_is_so_many_stories_of_one_asset_now_beside_what_is_drawn() -> None:
    now = HOUR * HOUR_US + 1_800_500_000
    drawn, other = wire(), wire()
    assert other.burst("sol-usdt", 8, now) == "SOL"
    found = [a for a in other.published(0, now) if a not in drawn.published(0, now)]
    assert {(a.asset, a.published_us) for a in found} == {("SOL", HOUR * HOUR_US + 1_800_000_000)}
    articles = [parse_article(json.dumps(a.as_json()).encode(), now) for a in found]
    stories = Stories()
    assert len({stories.place(a).cluster_id for a in articles}) == 8
    assert {a.symbols for a in articles} == {("SOL",)}
    assert other.published(0, now - 1_000_000) == drawn.published(0, now - 1_000_000)


@pytest.mark.parametrize(("about", "count"), [("SHIB", 5), ("BTC", 101)])
def test_a_burst_of_what_nobody_writes_about_or_of_too_much_is_refused(about: str, count: int) -> None:
    with pytest.raises(RejectedInput, match=r"allowed|at most"):
        wire().burst(about, count, HOUR * HOUR_US)


@pytest.mark.parametrize(
    ("query", "words"),
    [("bitcoin", ["bitcoin"]), ('"Bitcoin cash" OR (ETH)', ["bitcoin cash", "eth"]), ("", [])],
)
def test_any_word_of_a_query_may_match(query: str, words: list[str]) -> None:
    assert query_words(query) == words


def test_pages_have_the_form_of_a_recorded_one(shared_data: Path) -> None:
    recorded = json.loads((shared_data / "news" / "newsapi" / "everything_bitcoin_20200809.json").read_bytes())
    body = page(wire().published(0, (HOUR + 1) * HOUR_US), 5, 1)
    assert list(body) == list(recorded)
    assert len(body["articles"]) == 5
    assert list(body["articles"][0]) == list(recorded["articles"][0])
