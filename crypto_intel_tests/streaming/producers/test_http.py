"""HTTP to venues: what is tried again, how long is waited, what is given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from crypto_intel_tests.streaming.producers.harness import eventually
from streaming.errors import RetryableError
from streaming.producers.http import RequestRefused, VenueHttp, retry_after_s

NOW = datetime(2024, 8, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        ("100000", 60),
        ("Fri, 09 Aug 2024 12:00:30 GMT", 30),
        ("Fri, 09 Aug 2024 11:00:00 GMT", 0),
        ("soon", 0),
        ("-3", 0),
    ],
)
def test_retry_after_is_read_as_number_or_date_and_bounded(header: str | None, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds


@pytest.fixture
async def venue(unused_tcp_port: int) -> AsyncIterator[Callable[..., VenueHttp]]:
    """A venue that answers with the given responses in turn, and a client for it."""
    answers: list[web.Response] = []
    clients: list[VenueHttp] = []

    async def answer(request: web.Request) -> web.Response:
        return answers.pop(0)

    app = web.Application()
    app.add_routes([web.get("/x", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()

    def client(*responses: web.Response) -> VenueHttp:
        answers.extend(responses)
        clients.append(VenueHttp(f"http://127.0.0.1:{unused_tcp_port}", attempts=3))
        return clients[-1]

    yield client
    for opened in clients:
        await opened.aclose()
    await runner.cleanup()


async def test_a_busy_venue_is_asked_again(venue: Callable[..., VenueHttp]) -> None:
    http = venue(web.Response(status=503), web.Response(status=429), web.Response(text="ok"))
    assert await http.get("/x") == b"ok"


async def test_a_venue_that_stays_busy_is_left_to_the_caller(venue: Callable[..., VenueHttp]) -> None:
    http = venue(*(web.Response(status=500) for _ in range(3)))
    with pytest.raises(RetryableError, match="HTTP 500"):
        await http.get("/x")


async def test_a_refusal_is_not_repeated(venue: Callable[..., VenueHttp]) -> None:
    http = venue(web.Response(status=400, text="no such symbol"), web.Response(text="never asked"))
    with pytest.raises(RequestRefused, match="no such symbol") as caught:
        await http.get("/x")
    assert caught.value.status == 400


async def test_no_one_asks_before_the_time_that_the_venue_named(venue: Callable[..., VenueHttp]) -> None:
    http = venue(web.Response(status=429, headers={"Retry-After": "1"}), web.Response(text="1"), web.Response(text="2"))
    started = time.monotonic()
    assert sorted(await asyncio.gather(http.get("/x"), _soon(http))) == [b"1", b"2"]
    assert time.monotonic() - started >= 0.9


async def _soon(http: VenueHttp) -> bytes:
    await eventually(lambda: http.is_held_off)
    return await http.get("/x")


async def test_a_venue_that_is_away_can_be_asked_again(unused_tcp_port: int) -> None:
    http = VenueHttp(f"http://127.0.0.1:{unused_tcp_port}", attempts=2)
    with pytest.raises(RetryableError, match="ConnectError"):
        await http.get("/x")
    await http.aclose()
