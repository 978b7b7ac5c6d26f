"""What all news sources share: an article's name, its texts, its times and the assets that it is about. Pure.

The id of an article is a hash of its canonical URL, so one article found twice, or by two sources, is one. What does
not belong here: a source's wire form (newsapi.py, rss.py), and which articles tell one story (stories.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from selectolax.lexbor import LexborHTMLParser

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S
from streaming.errors import RejectedInput

MAX_TEXT = 20_000  # characters of one field; a longer one is cut, as no reader of ours wants a book
_TRACKING = re.compile(r"^(utm_.*|gclid|fbclid|mc_[ce]id)$", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CDATA = re.compile(r"^\s*<!\[CDATA\[(.*?)(?:\]\]>)?\s*$", re.DOTALL)
_MARKUP = re.compile(r"[<&]")
_NO_TEXT = ["script", "style", "template", "iframe", "noscript"]

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
    "LINK": ("chainlink",),
    "TRX": (),
    "SHIB": ("shiba inu",),
    "UNI": ("uniswap",),
    "XLM": (),
}
"""Names of tracked assets beside their tickers, in lower case; what is also a common word stands in `_PROPER`."""

_PROPER = {"ETH": "Ether", "XRP": "Ripple", "AVAX": "Avalanche", "TRX": "Tron", "XLM": "Stellar"}
"""Found only with a capital: a ripple is no coin."""

_UNMISTAKABLE = frozenset({"BTC", "XRP", "BNB", "DOGE", "LTC", "AVAX", "TRX", "XLM"})
"""Tickers that are no word in lower case either; a sol, a dot and a link are."""


def clean(text: str | None) -> str:
    """A text on one line; without NUL, which PostgreSQL's text does not take."""
    return " ".join((text or "")[:MAX_TEXT].replace("\x00", "").split())


def plain(html: str | None) -> str:
    """The text of HTML on one line: no tags, no scripts, entities as what they stand for.

    Feeds wrap HTML in CDATA and escape it once or twice; what still looks like markup after one pass is passed again.
    """
    text = (html or "")[: 4 * MAX_TEXT]
    for _ in range(2):
        text = without_cdata(text)
        if not _MARKUP.search(text):
            break
        tree = LexborHTMLParser(text)
        tree.strip_tags(_NO_TEXT)
        text = tree.text(separator=" ")
    return clean(text)


def without_cdata(text: str) -> str:
    """What stands in a CDATA section that an earlier reader left as text."""
    match = _CDATA.match(text)
    return match.group(1) if match else text


def canonical_url(text: str) -> str:
    """A URL without what changes between links to one page: case of the host, default port, tracking, fragment.

    Raises:
        RejectedInput: bad_url, it is no web address.
    """
    try:
        parts = urlsplit(text.strip().replace("&amp;", "&"))  # feeds escape links twice
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


def published_us(text: str, first_seen_at: int) -> int:
    """An ISO 8601 time in microseconds; without a zone it is UTC.

    Raises:
        RejectedInput: bad_time, or future_time when it is more than a minute after it was seen.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        published = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    except (ValueError, OverflowError) as error:
        raise RejectedInput("bad_time", f"published {text[:40]!r}") from error
    return checked_us(published, first_seen_at)


def checked_us(published: int, first_seen_at: int) -> int:
    """A publishing time that can be; raises as `published_us` does."""
    if published <= 0:
        raise RejectedInput("bad_time", f"published {published}")
    if published > first_seen_at + FUTURE_TOLERANCE_S * 1_000_000:
        ahead_s = (published - first_seen_at) // 1_000_000
        raise RejectedInput("future_time", f"published {ahead_s} s after it was seen")
    return published


def find_assets(text: str, assets: Collection[str] = tuple(ASSETS)) -> tuple[str, ...]:
    """Tracked assets that a text names, or whose ticker it writes (in capitals, if it is also a word)."""
    return tuple(asset for asset in assets if _pattern(asset).search(text))


@lru_cache(maxsize=256)
def _pattern(asset: str) -> re.Pattern[str]:
    exact = [asset, *([_PROPER[asset]] if asset in _PROPER else [])]
    loose = [*ASSETS.get(asset, ()), *([asset] if asset in _UNMISTAKABLE else [])]
    words = "|".join(exact) + (f"|(?i:{'|'.join(map(re.escape, loose))})" if loose else "")
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)")
