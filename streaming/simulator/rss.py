"""RSS and Atom feeds that retell the news wire's stories, in the forms that real feeds have.

Each feed belongs to an invented publisher and spells things in its own way: CDATA, HTML in descriptions, utm
parameters, relative links, dates without a zone. Which publisher retells a story, when and in which words, is a
function of the story, so that a story is the same whenever it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.typedefs import Handler

from streaming.simulator.conditional import answer
from streaming.simulator.desk import Desk
from streaming.simulator.news import NewsWire, WireArticle

LOOK_BACK_US = 6 * 3_600_000_000
MAX_ITEMS = 60
_SHORTEST_DELAY_S = 20
_DELAYS_S = 100
_SILENT = 3  # of eight stories so many are retold by nobody


@dataclass(frozen=True)
class Item:
    """A story as a publisher tells it."""

    title: str
    path: str
    summary: str
    published: datetime
    tags: tuple[str, ...]
    mark: str


@dataclass(frozen=True)
class Publisher:
    """An invented publisher and the form of its feed."""

    key: str
    name: str
    render: Callable[[Publisher, Sequence[Item]], str]

    @property
    def home(self) -> str:
        """Address of its pages."""
        return f"https://{self.key}.simulated.example"


def retold(wire: NewsWire, publisher: Publisher, now_us: int) -> list[Item]:
    """A publisher's items of the last hours, newest first."""
    items = [
        item
        for article in wire.published(now_us - LOOK_BACK_US, now_us)
        if (item := _retell(article, publisher)) and item.published.timestamp() * 1e6 <= now_us
    ]
    return sorted(items, key=lambda item: item.published, reverse=True)[:MAX_ITEMS]


def _retell(article: WireArticle, publisher: Publisher) -> Item | None:
    digest = hashlib.sha256(article.url.encode()).digest()
    if digest[0] % (len(PUBLISHERS) + _SILENT) != PUBLISHERS.index(publisher):
        return None
    delay_s = _SHORTEST_DELAY_S + digest[1] % _DELAYS_S
    title = article.title.removeprefix("Simulated: ")
    return Item(
        title=f"{title} (simulated)" if digest[2] % 2 else f"Simulated report: {title}",
        path=f"/{article.asset.lower()}/{digest[:6].hex()}",
        summary=article.description,
        published=datetime.fromtimestamp(article.published_us / 1e6 + delay_s, UTC),
        tags=("Simulated", article.asset),
        mark=digest[:16].hex(),
    )


def _channel(publisher: Publisher, items: str, language: str = "en-us") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:media="http://search.yahoo.com/mrss/">'
        f"<channel><title>{publisher.name}</title><link>{publisher.home}</link>"
        f"<description>Simulated news, none of it happened</description><language>{language}</language>"
        f"{items}</channel></rss>"
    )


def _tags(item: Item) -> str:
    return "".join(f"<category>{escape(tag)}</category>" for tag in item.tags)


def _cdata_titles(publisher: Publisher, items: Sequence[Item]) -> str:
    """CDATA titles, an id that is no link, several creators, an empty description: the text is in content:encoded."""
    told = "".join(
        f"<item><title><![CDATA[{item.title}]]></title><link>{publisher.home}{item.path}</link>"
        f'<guid isPermaLink="false">{item.mark}</guid><dc:creator>A</dc:creator><dc:creator>B</dc:creator>'
        f"<description><![CDATA[{item.summary}]]></description><content:encoded/>"
        f"<pubDate>{format_datetime(item.published)}</pubDate>{_tags(item)}"
        f'<media:content url="{publisher.home}/i.jpg" type="image/jpeg"/></item>'
        for item in items
    )
    return _channel(publisher, told)


def _html(publisher: Publisher, items: Sequence[Item]) -> str:
    """Links in CDATA with utm parameters, HTML in descriptions."""
    utm = "utm_source=rss_feed&utm_medium=rss&utm_campaign=rss_partner_inbound"
    told = "".join(
        f"<item><title><![CDATA[{item.title}]]></title><link><![CDATA[{publisher.home}{item.path}?{utm}]]></link>"
        f"<guid>{publisher.home}{item.path}</guid>"
        f'<description><![CDATA[<p style="float:right"><img src="{publisher.home}/i.jpg"></p>'
        f"<p>{item.summary}</p><script>alert(1)</script>]]></description>"
        f"<pubDate>{format_datetime(item.published)}</pubDate>{_tags(item)}</item>"
        for item in items
    )
    return _channel(publisher, told, "en")


def _loose(publisher: Publisher, items: Sequence[Item]) -> str:
    """Relative links and dates without a zone."""
    told = "".join(
        f"<item><title>{escape(item.title)}</title><link>{item.path}</link><description>{escape(item.summary)}"
        f"</description><pubDate>{item.published:%a, %d %b %Y %H:%M:%S}</pubDate>{_tags(item)}</item>"
        for item in items
    )
    return _channel(publisher, told)


def _atom(publisher: Publisher, items: Sequence[Item]) -> str:
    told = "".join(
        f'<entry><title type="html">{escape(escape(item.title))}</title><link href="{publisher.home}{item.path}"/>'
        f"<id>urn:{item.mark}</id><published>{item.published.isoformat()}</published>"
        f"<updated>{item.published.isoformat()}</updated><summary>{escape(item.summary)}</summary>"
        f"{_terms(item)}</entry>"
        for item in items
    )
    updated = items[0].published.isoformat() if items else "2020-01-01T00:00:00+00:00"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">'
        f"<title>{publisher.name}</title><id>{publisher.home}</id><updated>{updated}</updated>{told}</feed>"
    )


def _terms(item: Item) -> str:
    return "".join(f'<category term="{escape(tag)}"/>' for tag in item.tags)


def _gmt(publisher: Publisher, items: Sequence[Item]) -> str:
    """CDATA in link, id and date, GMT, entities in titles."""
    told = "".join(
        f"<item><title>{escape(item.title)} &#8211; it&#39;s said</title><link><![CDATA[{publisher.home}{item.path}]]>"
        f"</link><guid><![CDATA[{publisher.home}{item.path}]]></guid><description><![CDATA[{item.summary}]]>"
        f"</description><pubDate><![CDATA[{format_datetime(item.published, usegmt=True)}]]></pubDate>"
        f"{_tags(item)}</item>"
        for item in items
    )
    return _channel(publisher, told)


PUBLISHERS = (
    Publisher("herald", "Simulated Herald", _cdata_titles),
    Publisher("telegram", "Simulated Telegram", _html),
    Publisher("decoder", "Simulated Decoder", _loose),
    Publisher("magazine", "Simulated Magazine", _atom),
    Publisher("ledger", "Simulated Ledger", _gmt),
)


def routes(desk: Desk, wire: NewsWire) -> list[tuple[str, Handler]]:
    """Paths and handlers."""
    return [(f"/rss/{publisher.key}.xml", _page(desk, wire, publisher)) for publisher in PUBLISHERS]


def _page(desk: Desk, wire: NewsWire, publisher: Publisher) -> Handler:
    async def page(request: web.Request) -> web.Response:
        items = retold(wire, publisher, desk.now_us())
        desk.ledger.published([publisher.home + item.path for item in items])
        modified = format_datetime(items[0].published, usegmt=True) if items else ""
        return answer(request, publisher.render(publisher, items).encode(), "application/rss+xml", modified)

    return page
