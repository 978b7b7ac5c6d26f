"""RSS and Atom: what feeds write into CDATA, links, dates and descriptions."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import RejectedInput
from streaming.producers.articles import find_assets, plain
from streaming.producers.rss import WireItem, parse_feed, parse_item

URL = "https://news.example/feed/"
SEEN_AT = 1_800_000_000_000_000
AT = 1_790_244_711_000_000  # 2026-09-24T10:11:51Z
GOOD = WireItem(link="https://news.example/a", title="Bitcoin rises", published="Thu, 24 Sep 2026 10:11:51 GMT")


def feed(items: str) -> bytes:
    head = '<?xml version="1.0"?><rss version="2.0"><channel><title>T</title><language>en-GB</language>'
    return f"{head}{items}</channel></rss>".encode()


def one(item: str) -> WireItem:
    (found,) = parse_feed(feed(f"<item>{item}</item>"), URL).items
    return found


def changed(**changes: str) -> WireItem:
    return WireItem(**{"link": GOOD.link, "title": GOOD.title, "published": GOOD.published, **changes})  # type: ignore[arg-type]


def test_an_item_in_cdata_with_html_and_tracking_is_read_as_its_text() -> None:
    item = one(
        "<title><![CDATA[Ether &amp; <b>Bitcoin</b>]]></title>"
        "<link><![CDATA[https://News.example/a?utm_source=rss_feed&id=7]]></link>"
        "<description><![CDATA[<p>One</p><p>two &#8217;</p><script>alert(1)</script>]]></description>"
        "<category>Markets</category><category>Markets</category><category><![CDATA[ BTC ]]></category>"
        "<pubDate>Thu, 24 Sep 2026 10:11:51 +0000</pubDate>"
    )
    article = parse_item(item, "News", URL, SEEN_AT)
    assert article.title == "Ether & Bitcoin"
    assert article.url == "https://news.example/a?id=7"
    assert article.summary == "One two ’"  # noqa: RUF001
    assert article.tags == ("Markets", "BTC")
    assert article.symbols == ("BTC", "ETH")
    assert (article.published_at, article.first_seen_at) == (AT, SEEN_AT)
    assert (article.source, article.language, article.event_time) == ("News", "en", None)


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 24 Sep 2026 10:11:51 +0000",
        "Thu, 24 Sep 2026 10:11:51 GMT",
        "Thu, 24 Sep 2026 10:11:51",
        "Thu, 24 Sep 2026 06:11:51 EDT",
        "Thu, 24 Sep 2026 12:11:51 +0200",
        "2026-09-24T10:11:51Z",
        "2026-09-24 10:11:51",
        "<![CDATA[Thu, 24 Sep 2026 10:11:51 GMT]]>",
    ],
)
def test_dates_of_every_form_are_one_moment(date: str) -> None:
    item = one(f"<title>t</title><link>/a</link><pubDate>{date}</pubDate>")
    assert parse_item(item, "News", URL, SEEN_AT).published_at == AT


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("/a/b", "https://news.example/a/b"),
        ("c", "https://news.example/feed/c"),
        ("//x.example/y", "https://x.example/y"),
    ],
)
def test_relative_links_are_relative_to_the_feed(link: str, url: str) -> None:
    assert parse_item(changed(link=link), "News", URL, SEEN_AT).url == url


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": "<b> </b>"}, "missing_field"),
        ({"link": " "}, "missing_field"),
        ({"link": "javascript:alert(1)"}, "bad_url"),
        ({"link": "https://[x"}, "bad_url"),
        ({"published": ""}, "missing_field"),
        ({"published": "soon"}, "bad_time"),
        ({"published": "Thu, 24 Sep 2099 10:11:51 GMT"}, "future_time"),
        ({"published": "Thu, 01 Jan 1970 00:00:00 GMT"}, "bad_time"),
    ],
)
def test_an_item_that_cannot_be_used_says_why(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        parse_item(changed(**changes), "News", URL, SEEN_AT)
    assert caught.value.reason == reason


@pytest.mark.parametrize("body", [b"", b"<html><body>blocked</body></html>", b'{"a": 1}', b"/etc/passwd"])
def test_what_is_no_feed_is_refused_and_no_file_is_opened(body: bytes) -> None:
    with pytest.raises(RejectedInput, match="malformed_feed"):
        parse_feed(body, URL)


def test_a_cut_feed_gives_the_items_that_can_be_read() -> None:
    whole = feed("".join(f"<item><title>{n}</title><link>/{n}</link></item>" for n in range(9)))
    cut = parse_feed(whole[:-60], URL)
    assert cut.is_damaged
    assert [item.title for item in cut.items][:7] == [str(n) for n in range(7)]
    assert not parse_feed(whole, URL).is_damaged


def test_entities_are_not_expanded_from_files() -> None:
    evil = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + feed(
        "<item><title>a &x; b</title><link>/a</link></item>"
    ).replace(b'<?xml version="1.0"?>', b"")
    hostname = Path("/etc/hostname").read_text().strip() if Path("/etc/hostname").exists() else "?"
    assert all(hostname not in item.title for item in parse_feed(evil, URL).items)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("price < 5 & up", "price < 5 & up"),
        ("&lt;b&gt;twice&lt;/b&gt; &amp;amp; escaped", "twice & escaped"),
        ('<img src=x onerror="alert(1)">ok<style>p{}</style>', "ok"),
        ("<![CDATA[<p>a</p>]]>", "a"),
        ("nul\x00 here", "nul here"),
    ],
)
def test_html_becomes_its_text(html: str, text: str) -> None:
    assert plain(html) == text


def test_unmistakable_tickers_are_found_in_any_case_and_words_only_in_capitals() -> None:
    assert find_assets("btc and $xrp against a dot, a link and el sol") == ("BTC", "XRP")
    assert find_assets("DOT, LINK and SOL") == ("SOL", "DOT", "LINK")


def recorded(shared_data: Path) -> list[WireItem]:
    """Items as a reader of feeds has stored them, its leftovers of CDATA with them."""
    found: list[WireItem] = []
    for file in sorted((shared_data / "news" / "rss_daily_archive").glob("*.json")):
        for item in json.loads(file.read_bytes())["articles"]:
            found.append(WireItem(item["link"], item["title"], item.get("description", ""), item["pubDate"]))
    with gzip.open(shared_data / "news" / "crypto_articles_sentiment_202601.jsonl.gz", "rt") as lines:
        for item in map(json.loads, lines):
            found.append(WireItem(item["link"], item["title"], item.get("description") or "", item["pub_date"]))
    return found


def test_recorded_items_parse_whole(shared_data: Path) -> None:
    items = recorded(shared_data)
    articles = [parse_item(item, "News", URL, SEEN_AT) for item in items]
    assert len(articles) == 4 * 50 + 293
    assert sum("<![CDATA[" in item.link for item in items) >= 4 * 16
    assert not any(mark in article.url for article in articles for mark in ("CDATA", "utm_", "]]>"))
    assert not any("<" in article.title or "&#" in article.title + article.summary for article in articles)
    assert len({article.article_id for article in articles}) == 293  # the archive's days are part of the month


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_feed_or_refused(body: bytes) -> None:
    with contextlib.suppress(RejectedInput):
        parse_feed(body, URL)


_text = st.text(max_size=60)


@given(st.lists(st.tuples(st.sampled_from(["title", "link", "pubDate", "description", "category"]), _text)))
def test_arbitrary_items_are_accepted_or_rejected(fields: list[tuple[str, str]]) -> None:
    item = "".join(f"<{name}><![CDATA[{text.replace(']]>', '')}]]></{name}>" for name, text in fields)
    with contextlib.suppress(RejectedInput):
        for found in parse_feed(feed(f"<item>{item}</item>"), URL).items:
            parse_item(found, "News", URL, SEEN_AT)


@given(_text, _text, _text, _text, st.none() | st.integers(-(2**62), 2**62))
def test_arbitrary_texts_are_accepted_or_rejected(
    link: str, title: str, summary: str, published: str, seconds: int | None
) -> None:
    item = WireItem(link, title, summary, published, seconds)
    with contextlib.suppress(RejectedInput):
        article = parse_item(item, "News", URL, SEEN_AT)
        assert 0 < article.published_at <= SEEN_AT + 60_000_000
        assert "\x00" not in article.title + article.summary
