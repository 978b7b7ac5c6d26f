"""RSS and Atom feeds: parsing. Pure; who asks is in rss_feed.py.

Feeds put links and titles into CDATA, HTML into descriptions, utm parameters into links, and write dates in every
form, some without a zone (taken as UTC). feedparser reads what is not well-formed too; what it makes of a feed is
checked here as any other input.
"""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin

import feedparser
import msgspec

from crypto_intel.contracts.events import Article
from streaming.errors import RejectedInput
from streaming.producers.articles import (
    article_id,
    canonical_url,
    checked_us,
    find_assets,
    plain,
    published_us,
    without_cdata,
)

VENUE = "rss"
MAX_ITEMS = 1_000  # of one feed; the usual is 20 to 50
_MAX_TAGS = 20
_MAX_TAG = 64
_LANGUAGE = re.compile(r"^([a-z]{2,3})(?:[-_]|$)", re.IGNORECASE)


class WireItem(msgspec.Struct, frozen=True):
    """One item as the feed has it; `published_s` is its date in seconds where feedparser could read it."""

    link: str
    title: str
    summary: str = ""
    published: str = ""
    published_s: int | None = None
    tags: tuple[str, ...] = ()
    language: str = ""


class Feed(NamedTuple):
    """Items of a feed, and whether it was cut or not well-formed (its readable items are there)."""

    items: list[WireItem]
    is_damaged: bool


def parse_feed(body: bytes, url: str) -> Feed:
    """The items of a feed's body.

    Args:
        body: as it was received.
        url: of the feed; relative links are relative to it.

    Raises:
        RejectedInput: malformed_feed, it is no feed at all (a block page, an empty answer).
    """
    # As a file: feedparser opens what it takes for a name of one. The address is for relative links; the type is what
    # a feed should have, whatever its server says, so that the encoding is the one that the document names.
    headers = {"content-location": url, "content-type": "application/xml"}
    parsed = feedparser.parse(io.BytesIO(body), response_headers=headers, sanitize_html=False)
    if not parsed.get("version"):
        raise RejectedInput("malformed_feed", str(parsed.get("bozo_exception", "no feed"))[:200])
    language = _text(parsed.feed, "language")
    items = [_item(entry, language) for entry in parsed.entries[:MAX_ITEMS]]
    return Feed(items, bool(parsed.bozo))


def _item(entry: dict[str, Any], language: str) -> WireItem:
    clock = entry.get("published_parsed") or dict.get(entry, "updated_parsed")  # `get` of its own warns of a fallback
    return WireItem(
        link=_text(entry, "link"),
        title=_text(entry, "title"),
        summary=_text(entry, "summary"),
        published=_text(entry, "published") or str(dict.get(entry, "updated") or ""),
        published_s=_seconds(clock) if clock else None,
        tags=tuple(_text(tag, "term") for tag in entry.get("tags") or ()),
        language=_text(entry, "language") or language,
    )


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _seconds(clock: Any) -> int | None:
    try:
        return calendar.timegm(clock)
    except (ValueError, OverflowError, TypeError):
        return None


def parse_item(item: WireItem, source: str, url: str, first_seen_at: int) -> Article:
    """One item as our event.

    Args:
        item: of a feed.
        source: the publisher's name.
        url: of the feed.
        first_seen_at: platform time in microseconds.

    Raises:
        RejectedInput: missing_field, bad_url, bad_time or future_time.
    """
    title = plain(item.title)
    if not title:
        raise RejectedInput("missing_field", "title")
    if not item.link.strip():
        raise RejectedInput("missing_field", "link")
    canonical = canonical_url(_absolute(without_cdata(item.link).strip(), url))
    summary = plain(item.summary)
    return Article(
        article_id=article_id(canonical),
        source=source,
        url=canonical,
        title=title,
        summary=summary,
        tags=_tags(item.tags),
        symbols=find_assets(f"{title}\n{summary}"),
        published_at=_published(item, first_seen_at),
        first_seen_at=first_seen_at,
        language=_language(item.language),
    )


def _absolute(link: str, url: str) -> str:
    try:
        return urljoin(url, link)
    except ValueError as error:
        raise RejectedInput("bad_url", link[:200]) from error


def _published(item: WireItem, first_seen_at: int) -> int:
    if item.published_s is not None:
        return checked_us(item.published_s * 1_000_000, first_seen_at)
    text = without_cdata(item.published).strip()
    if not text:
        raise RejectedInput("missing_field", "pubDate")
    try:
        moment = parsedate_to_datetime(text)  # feedparser gives up on RFC 822 dates without a zone
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = int(moment.timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return published_us(text, first_seen_at)
    return checked_us(seconds * 1_000_000, first_seen_at)


def _tags(terms: tuple[str, ...]) -> tuple[str, ...]:
    tags = (plain(term)[:_MAX_TAG] for term in terms)
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:_MAX_TAGS]


def _language(code: str) -> str | None:
    match = _LANGUAGE.match(code.strip())
    return match.group(1).lower() if match else None
