"""Asks RSS feeds and writes what is new: all feeds of a poll at once, each with its own failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from streaming.errors import RejectedInput, RetryableError
from streaming.producers.http import Page, RequestRefused, VenueHttp
from streaming.producers.polling import Polled, Refusals, Seen, reason_of
from streaming.producers.rss import VENUE, WireItem, parse_feed, parse_item
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink
from streaming.producers.stories import Stories

_LIVE_POLL_S = 300.0


class RssSource:
    """A set of feeds.

    Args:
        settings: of the producers.
        feeds: a client each, whose address is the feed's, by the feed's name.
        sink: takes the articles.
        stories: of all news sources.
        refusals: takes what cannot be used.
    """

    venue = VENUE
    stream = "feeds"
    lacks = None

    def __init__(
        self,
        settings: ProducerSettings,
        feeds: Mapping[str, VenueHttp],
        sink: EventSink,
        stories: Stories,
        refusals: Refusals,
    ) -> None:
        self._settings = settings
        self._feeds = feeds
        self._urls = settings.rss.named
        self._sink = sink
        self._stories = stories
        self._refusals = refusals
        self._seen = Seen()

    @property
    def poll_s(self) -> float:
        """Feed seconds between polls."""
        return self._settings.rss.every_s(self._settings.source, _LIVE_POLL_S)

    async def ask(self, asked_at: int) -> list[Polled]:
        """Ask every feed; one that fails says so in its own answer."""
        return list(await asyncio.gather(*(self._ask_one(name, asked_at) for name in self._feeds)))

    async def _ask_one(self, name: str, asked_at: int) -> Polled:
        http = self._feeds[name]
        try:
            page = await http.get_changed(self._urls[name])
            if page is None:
                return Polled(name, note="not changed")
            answer = await self._read(name, page, asked_at)
        except (RetryableError, RequestRefused, RejectedInput) as error:
            return Polled(name, failure=reason_of(error))
        http.keep(page)
        return answer

    async def _read(self, name: str, page: Page, asked_at: int) -> Polled:
        with self._refusals.of(page.body, f"rss {name}", asked_at):
            feed = await asyncio.to_thread(parse_feed, page.body, self._urls[name])  # half a second for a great one
        new = sum(self._take(item, name, asked_at) for item in feed.items)
        note = f"{new} new of {len(feed.items)}, the feed is not well-formed" if feed.is_damaged else ""
        return Polled(name, new, len(feed.items), note=note)

    def _take(self, item: WireItem, name: str, seen_at: int) -> bool:
        try:
            article = parse_item(item, name, self._urls[name], seen_at)
        except RejectedInput as error:
            self._refusals.add(msgspec.json.encode(item), f"rss {name}", error, seen_at)
            return False
        if not self._seen.add(article.article_id):
            return False
        self._sink.article(self._stories.place(article))
        return True
