"""What every producer needs at its start. Trade feeds are put together in trades.py, polled sources in pollers.py."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
import stamina
import structlog
from pydantic import SecretStr

from streaming.clock import PlatformClock
from streaming.errors import RetryableError
from streaming.producers.http import VenueHttp
from streaming.producers.kafka import KafkaSink
from streaming.producers.settings import ProducerSettings

T = TypeVar("T")

HALF_SECOND_US = 500_000
"""A `Date` is cut to the second."""

log = structlog.get_logger(__name__)


async def patiently(what: str, call: Callable[[], Awaitable[T]], on_failure: Callable[[str], None] | None = None) -> T:
    """The result of a call that is repeated for ever while it raises RetryableError, with growing waits."""
    async for attempt in stamina.retry_context(
        on=RetryableError, attempts=None, timeout=None, wait_initial=0.2, wait_max=10, wait_jitter=0.5
    ):
        with attempt:
            try:
                return await call()
            except RetryableError as error:
                log.warning("waiting", for_=what, reason=str(error))
                if on_failure:
                    on_failure(str(error))
                raise
    raise AssertionError("unreachable: attempts have no end")


async def open_clock(settings: ProducerSettings, http: VenueHttp) -> PlatformClock:
    """The platform clock, as soon as it answers."""
    clock = PlatformClock(settings.clock_url)
    await patiently("the platform clock", lambda: clock.refresh_async(http.client))
    return clock


def hold_to_venue(clock: PlatformClock, http: VenueHttp) -> None:
    """Hold the clock to the `Date` of each of the venue's answers; what a cache answered (`Age`) tells no time."""

    async def listen(response: httpx.Response) -> None:
        told = response.headers.get("date")
        if told and "age" not in response.headers:
            with contextlib.suppress(ValueError):  # no date
                clock.hold_to(int(parsedate_to_datetime(told).timestamp() * 1e6) + HALF_SECOND_US)

    http.client.event_hooks["response"].append(listen)


@asynccontextmanager
async def open_sink(
    settings: ProducerSettings, feed_topic: str | Mapping[str, str], venue: str
) -> AsyncIterator[KafkaSink]:
    """A Kafka sink, flushed at the end however that comes; `feed_topic` of several feeds is by venue."""

    async def connect() -> KafkaSink:
        return await asyncio.to_thread(
            lambda: KafkaSink(settings.kafka, settings.topics, feed_topic=feed_topic, client_id=f"producer-{venue}")
        )

    sink = await patiently("Kafka", connect)
    try:
        yield sink
    finally:
        await sink.flush()


@asynccontextmanager
async def open_http(url: str, key_header: str, key: SecretStr | None) -> AsyncIterator[VenueHttp]:
    """An HTTP client of a venue, closed at the end; a key travels in a header."""
    http = VenueHttp(url, headers={key_header: key.get_secret_value()} if key else None)
    try:
        yield http
    finally:
        await http.aclose()
