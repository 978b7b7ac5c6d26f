"""NewsAPI's `/v2/everything`: wire structs and parsing. Pure; who asks is in newsapi_feed.py.

Articles come in many languages, with null authors, descriptions and contents, cut at 200 characters, several with one
time.
"""

from __future__ import annotations

import re

import msgspec

from crypto_intel.contracts.events import Article
from streaming.errors import RejectedInput
from streaming.producers.articles import article_id, canonical_url, clean, find_assets, published_us

VENUE = "newsapi"
_REMOVED = "[Removed]"  # what NewsAPI leaves of an article that its publisher withdrew
_CUT_MARK = re.compile(r"\s*\[\+\d+ chars\]$")


class WireSource(msgspec.Struct, frozen=True):
    """Publisher."""

    name: str | None = None


class WireArticle(msgspec.Struct, frozen=True):
    """One article; the venue's names."""

    url: str
    title: str | None
    publishedAt: str  # noqa: N815
    source: WireSource = WireSource()
    description: str | None = None
    content: str | None = None


class WirePage(msgspec.Struct, frozen=True):
    """A body of `/v2/everything`, good or bad."""

    status: str
    totalResults: int = 0  # noqa: N815
    articles: list[msgspec.Raw] = []
    code: str = ""
    message: str = ""


_page = msgspec.json.Decoder(WirePage)
_article = msgspec.json.Decoder(WireArticle)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_page(body: bytes) -> WirePage:
    """The page of a body.

    Raises:
        RejectedInput: malformed_json, or venue_error when the venue says so itself.
    """
    try:
        page = _page.decode(body)
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    if page.status != "ok":
        raise RejectedInput("venue_error", f"{page.code}: {page.message}"[:200])
    return page


def parse_article(raw: bytes, first_seen_at: int, language: str | None = None) -> Article:
    """One element of a page as our event.

    Args:
        raw: its JSON.
        first_seen_at: platform time in microseconds.
        language: of the query, if it named one; the venue does not tell an article's.

    Raises:
        RejectedInput: malformed_json, missing_field, wrong_type, bad_url, bad_time, future_time or removed.
    """
    wire = _decode_article(raw)
    title = clean(wire.title)
    if not title:
        raise RejectedInput("missing_field", "title")
    if title == _REMOVED:
        raise RejectedInput("removed")
    url = canonical_url(wire.url)
    summary = clean(wire.description)
    return Article(
        article_id=article_id(url),
        source=clean(wire.source.name) or "unknown",
        url=url,
        title=title,
        summary=summary,
        content=_CUT_MARK.sub("", clean(wire.content)),
        symbols=find_assets(f"{title}\n{summary}"),
        published_at=published_us(wire.publishedAt, first_seen_at),
        first_seen_at=first_seen_at,
        language=language,
    )


def _decode_article(raw: bytes) -> WireArticle:
    try:
        return _article.decode(raw)
    except msgspec.ValidationError as error:
        is_absent = "missing required field" in str(error)
        raise RejectedInput("missing_field" if is_absent else "wrong_type", str(error)[:200]) from error
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
