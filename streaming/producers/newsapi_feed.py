"""Polls NewsAPI and writes what is new.

Guarantee: at least once; an article is written once a run and may be written again by the next one, under the same
id. Heartbeats carry the time of the last poll that succeeded, so a poller that fails cannot move anyone's clock.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from datetime import UTC, datetime

import structlog

from crypto_intel.contracts.events import MAX_RAW_BYTES, FeedStatus, Heartbeat, Rejected, StatusKind
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput, RetryableError
from streaming.producers.http import RequestRefused, VenueHttp
from streaming.producers.newsapi import VENUE, WirePage, parse_article, parse_page
from streaming.producers.settings import NewsApi, ProducerSettings
from streaming.producers.sink import EventSink

SEEN_LIMIT = 50_000  # articles remembered, so that an hour's overlap is not written at each poll
_SIMULATED_POLL_S = 15.0
_LIVE_POLL_S = 900.0
_LEAST_WAIT_S = 0.25  # a fast replay must not poll without pause
_HEARTBEAT_S = 2.0
_FIRST_LOOK_BACK_S = 86_400.0

log = structlog.get_logger(__name__)


class Seen:
    """Keys seen before; forgets the oldest beyond its limit."""

    def __init__(self, limit: int = SEEN_LIMIT) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._limit = limit

    def add(self, key: str) -> bool:
        """Whether the key is new."""
        is_new = key not in self._keys
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return is_new


class NewsApiFeed:
    """The poller.

    Args:
        settings: of the producers.
        sink: takes the events.
        clock: the platform's.
        http: NewsAPI's address, with the key in its headers.
    """

    def __init__(self, settings: ProducerSettings, sink: EventSink, clock: PlatformClock, http: VenueHttp) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._http = http
        self._seen = Seen()
        self._refused = Seen()
        self._newest_us: int | None = None
        self._polled_until_us: int | None = None  # None while polls fail
        self.counts: Counter[str] = Counter()

    @property
    def _own(self) -> NewsApi:
        return self._settings.newsapi

    def wait_s(self) -> float:
        """Wall seconds between polls: `poll_s` is feed time, which runs faster in a fast replay."""
        poll_s = self._own.poll_s or (_LIVE_POLL_S if self._settings.source == "live" else _SIMULATED_POLL_S)
        return max(poll_s / max(self._clock.anchors.speed, 1.0), _LEAST_WAIT_S)

    async def run(self) -> None:
        """Poll until the recording ends; for ever without one.

        Raises:
            FatalError: something could not be delivered.
        """
        while True:
            await self._clock.try_refresh(self._http.client)
            has_ended = self._clock.has_ended  # read before the poll, so that the last poll sees all
            await self.poll()
            if has_ended and self._polled_until_us is not None:
                await self._finish()
                return
            await self._idle(self.wait_s())

    async def _idle(self, seconds: float) -> None:
        """Wait for the next poll, writing heartbeats; ends early when a recording begins or ends."""
        until = time.monotonic() + seconds
        anchors = self._clock.anchors
        while (left := until - time.monotonic()) > 0:
            self._beat()
            self._sink.check()
            await asyncio.sleep(min(left, _HEARTBEAT_S))
            if self._clock.is_replay:
                await self._clock.try_refresh(self._http.client)
                if (anchors.ended, anchors.speed) != (self._clock.anchors.ended, self._clock.anchors.speed):
                    return

    async def poll(self) -> None:
        """Ask once, write what is new, say how it went."""
        asked_at = self._clock.now_us()
        if self._own.key is None and self._settings.source == "live":
            self._fail("no key: set CRYPTO_INTEL_NEWSAPI__KEY")
            return
        try:
            new, total = await self._ask(asked_at)
        except (RetryableError, RequestRefused, RejectedInput) as error:
            self._fail(_reason(error))
            return
        self._polled_until_us = asked_at
        self._say("poll", f"ok: {new} new of {total}")
        self._beat()

    async def _ask(self, asked_at: int) -> tuple[int, int]:
        """New articles, and how many the venue has in all."""
        since = self._since(asked_at)
        new = 0
        for number in range(1, self._own.max_pages + 1):
            page = parse_page(await self._http.get("/v2/everything", self._params(since, number)))
            new += sum(self._take(bytes(raw), asked_at) for raw in page.articles)
            if not _has_more(page, number, self._own.page_size):
                break
        return new, page.totalResults

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
            self._reject(raw, error, seen_at)
            return False
        self._newest_us = max(self._newest_us or 0, article.published_at)
        if not self._seen.add(article.article_id):
            return False
        self._sink.article(article)
        self.counts["articles"] += 1
        return True

    def _reject(self, raw: bytes, error: RejectedInput, seen_at: int) -> None:
        if self._refused.add(hashlib.sha256(raw).hexdigest()):  # the same page is seen again at the next poll
            self.counts["rejected"] += 1
            self._sink.reject(
                Rejected(
                    stage=VENUE,
                    place="rest /v2/everything",
                    reason=error.reason,
                    raw=raw[:MAX_RAW_BYTES],
                    received_at=seen_at,
                    detail=error.detail,
                )
            )

    def _fail(self, reason: str) -> None:
        self._polled_until_us = None
        self.counts["failed_polls"] += 1
        log.warning("poll failed", reason=reason)
        self._say("poll", f"failed: {reason}")

    def _say(self, status: StatusKind, detail: str) -> None:
        now = self._clock.now_us()
        self._sink.status(
            FeedStatus(venue=VENUE, status=status, event_time=now, received_at=now, stream="everything", detail=detail)
        )

    def _beat(self, *, ended: bool = False) -> None:
        if self._polled_until_us is not None:
            now = self._clock.now_us()
            self._sink.heartbeat(
                Heartbeat(venue=VENUE, symbols=(), event_time=self._polled_until_us, received_at=now, ended=ended)
            )

    async def _finish(self) -> None:
        await self._sink.flush()
        self._beat(ended=True)
        self._say("ended", "end of recording")
        await self._sink.flush()
        log.info("recording ended", **self.counts)


def _has_more(page: WirePage, number: int, size: int) -> bool:
    return bool(page.articles) and number * size < page.totalResults


def _reason(error: Exception) -> str:
    """What went wrong, in the venue's words where its error envelope can be read."""
    if isinstance(error, RequestRefused):
        try:
            parse_page(error.body)
        except RejectedInput as refusal:
            if refusal.reason == "venue_error":
                return refusal.detail
    return str(error)
