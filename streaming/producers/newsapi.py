"""NewsAPI's `/v2/everything`: wire structs and parsing. Pure; the poller is in newsapi_feed.py.

Articles come in many languages, with null authors, descriptions and contents, cut at 200 characters, several with one
time. The id of an article is a hash of its canonical URL, so one article found twice is one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S, Article
from streaming.errors import RejectedInput

VENUE = "newsapi"
_REMOVED = "[Removed]"  # what NewsAPI leaves of an article that its publisher withdrew
_TRACKING = re.compile(r"^(utm_.*|gclid|fbclid|mc_[ce]id)$", re.IGNORECASE)
_CUT_MARK = re.compile(r"\s*\[\+\d+ chars\]$")
_DEFAULT_PORTS = {"http": 80, "https": 443}

ASSETS: dict[str, tuple[str, ...]] = {
    "BTC": ("bitcoin",),
    "ETH": ("ethereum",),
    "SOL": ("solana",),
    "XRP": ("ripple labs",),
    "BNB": ("binance coin", "bnb chain"),
    "DOGE": ("dogecoin",),
    "ADA": ("cardano",),
    "LTC": ("litecoin",),
    "DOT": ("polkadot",),
    "AVAX": (),
}
"""Names of tracked assets beside their tickers, in lower case; what is also a common word stands in `_PROPER`."""

_PROPER = {"ETH": "Ether", "XRP": "Ripple", "AVAX": "Avalanche"}  # found only with a capital: a ripple is no coin


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
    title = _clean(wire.title)
    if not title:
        raise RejectedInput("missing_field", "title")
    if title == _REMOVED:
        raise RejectedInput("removed")
    url = canonical_url(wire.url)
    summary = _clean(wire.description)
    return Article(
        article_id=article_id(url),
        source=_clean(wire.source.name) or "unknown",
        url=url,
        title=title,
        summary=summary,
        content=_CUT_MARK.sub("", _clean(wire.content)),
        symbols=find_assets(f"{title}\n{summary}"),
        published_at=_published_at(wire.publishedAt, first_seen_at),
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


def _clean(text: str | None) -> str:
    return " ".join((text or "").replace("\x00", "").split())  # PostgreSQL's text takes no NUL


def _published_at(text: str, first_seen_at: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        published = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    except (ValueError, OverflowError) as error:
        raise RejectedInput("bad_time", f"publishedAt {text[:40]!r}") from error
    if published <= 0:
        raise RejectedInput("bad_time", f"publishedAt {text[:40]!r}")
    if published > first_seen_at + FUTURE_TOLERANCE_S * 1_000_000:
        raise RejectedInput("future_time", f"publishedAt {text[:40]!r}")
    return published


def canonical_url(text: str) -> str:
    """A URL without what changes between links to one page: case of the host, default port, tracking, fragment.

    Raises:
        RejectedInput: bad_url, it is no web address.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise RejectedInput("bad_url", text[:200]) from error
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not host:
        raise RejectedInput("bad_url", text[:200])
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        host = f"{host}:{port}"
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(pair[0])]
    return urlunsplit((scheme, host, parts.path or "/", urlencode(query, errors="replace"), ""))


def article_id(canonical: str) -> str:
    """Id of the article at a canonical URL: 32 hexadecimal digits."""
    return hashlib.sha256(canonical.encode(errors="replace")).hexdigest()[:32]


def find_assets(text: str, assets: Collection[str] = tuple(ASSETS)) -> tuple[str, ...]:
    """Tracked assets that a text names or whose ticker it writes in capitals, in the order of `ASSETS`."""
    return tuple(asset for asset in assets if _pattern(asset).search(text))


def _pattern(asset: str) -> re.Pattern[str]:
    exact = [asset, *([_PROPER[asset]] if asset in _PROPER else [])]
    names = "|".join(map(re.escape, ASSETS.get(asset, ())))
    words = "|".join(exact) + (f"|(?i:{names})" if names else "")
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)")  # re caches compiled patterns
