"""Asks NewsAPI and writes what is new. The loop around it is in polling.py."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from crypto_intel.contracts.events import Article
from streaming.errors import RejectedInput
from streaming.producers.http import RequestRefused, VenueHttp
from streaming.producers.newsapi import VENUE, WirePage, parse_article, parse_page
from streaming.producers.poll_settings import key_missing
from streaming.producers.polling import Polled, Refusals, Seen
from streaming.producers.settings import ProducerSettings
from streaming.producers.sink import EventSink
from streaming.producers.stories import Stories

PATH = "/v2/everything"
_LIVE_POLL_S = 1_000.0
_FIRST_LOOK_BACK_S = 86_400.0


class NewsApiSource:
    """NewsAPI.

    Args:
        settings: of the producers.
        http: its address, with the key in its headers.
        sink: takes the articles.
        stories: of all news sources.
        refusals: takes what cannot be used.
    """

    venue = VENUE
    stream = "everything"

    def __init__(
        self, settings: ProducerSettings, http: VenueHttp, sink: EventSink, stories: Stories, refusals: Refusals
    ) -> None:
        self._settings = settings
        self._own = settings.newsapi
        self._http = http
        self._sink = sink
        self._stories = stories
        self._refusals = refusals
        self._seen = Seen()
        self._newest_us: int | None = None
        self.counts: Counter[str] = Counter()

    @property
    def poll_s(self) -> float:
        """Feed seconds between polls."""
        return self._own.every_s(self._settings.source, _LIVE_POLL_S)

    @property
    def lacks(self) -> str | None:
        """A key, if there is none."""
        return key_missing("NEWSAPI__KEY", self._own.key, self._settings.source)

    async def ask(self, asked_at: int) -> list[Polled]:
        """Ask for what was published lately; raises as Source.ask says."""
        since = self._since(asked_at)
        new = total = 0
        for number in range(1, self._own.max_pages + 1):
            page = await self._page(self._params(since, number), asked_at)
            new += sum(self._take(bytes(raw), asked_at) for raw in page.articles)
            total = page.totalResults
            if not _has_more(page, number, self._own.page_size):
                break
        return [Polled(self.stream, new, total)]

    async def _page(self, params: dict[str, str | int], asked_at: int) -> WirePage:
        try:
            body = await self._http.get(PATH, params)
        except RequestRefused as refusal:
            _raise_in_its_words(refusal)
            raise
        with self._refusals.of(body, f"rest {PATH}", asked_at):
            return parse_page(body)

    def _since(self, asked_at: int) -> int:
        if self._newest_us is None:
            return asked_at - int(_FIRST_LOOK_BACK_S * 1e6)
        return self._newest_us - int(self._own.overlap_minutes * 60e6)

    def _params(self, since_us: int, page: int) -> dict[str, str | int]:
        params: dict[str, str | int] = {
            "q": self._own.query,
            "from": datetime.fromtimestamp(since_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sortBy": "publishedAt",
            "pageSize": self._own.page_size,
            "page": page,
        }
        return params | ({"language": self._own.language} if self._own.language else {})

    def _take(self, raw: bytes, seen_at: int) -> bool:
        """Write an article, or why it cannot be used; whether it was new."""
        try:
            article = parse_article(raw, seen_at, self._own.language)
        except RejectedInput as error:
            self._refusals.add(raw, f"rest {PATH}", error, seen_at)
            return False
        return self._write(article)

    def _write(self, article: Article) -> bool:
        self._newest_us = max(self._newest_us or 0, article.published_at)
        if not self._seen.add(article.article_id):
            return False
        self._sink.article(self._stories.place(article))
        self.counts["articles"] += 1
        return True


def _has_more(page: WirePage, number: int, size: int) -> bool:
    return bool(page.articles) and number * size < page.totalResults


def _raise_in_its_words(refusal: RequestRefused) -> None:
    """Raise the venue's own error, where its envelope can be read."""
    try:
        parse_page(refusal.body)
    except RejectedInput as error:
        if error.reason == "venue_error":
            raise error from refusal
