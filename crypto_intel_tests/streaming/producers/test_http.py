"""HTTP to venues: what is tried again, how long is waited, what is given up."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, quote_plus

import pytest
from aiohttp import web
from pydantic import SecretStr

from crypto_intel_tests.streaming.producers.harness import eventually
from streaming.errors import RetryableError
from streaming.producers import http as module
from streaming.producers.budget import Budget, Limit
from streaming.producers.http import Key, RequestRefused, VenueHttp, retry_after_s

pytestmark = pytest.mark.stack

CANARY = "canary/0123456789+key"  # with characters that a URL spells otherwise
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


class Site:
    """A site whose answers a test gives; keeps the requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[web.Request] = []
        self.answer: Callable[[web.Request], web.Response] = lambda _: web.Response(text="ok")

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        return self.answer(request)


@pytest.fixture
async def site(unused_tcp_port: int) -> AsyncIterator[Site]:
    """Answers any path."""
    found = Site(f"http://127.0.0.1:{unused_tcp_port}")
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", found.handle)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield found
    await runner.cleanup()


@asynccontextmanager
async def opened(site: Site, **options: Any) -> AsyncIterator[VenueHttp]:
    http = VenueHttp(site.url, attempts=2, **options)
    yield http
    await http.aclose()


async def test_a_page_is_asked_for_on_condition_once_it_was_used(site: Site) -> None:
    def answer(request: web.Request) -> web.Response:
        is_known = request.headers.get("If-None-Match") == '"1"'
        headers = {"ETag": '"1"', "Last-Modified": "Fri, 09 Aug 2024 12:00:00 GMT"}
        return web.Response(status=304) if is_known else web.Response(text="news", headers=headers)

    site.answer = answer
    async with opened(site) as http:
        page = await http.get_changed("/feed", {"a": 1})
        assert page is not None
        assert page.body == b"news"
        assert await http.get_changed("/feed", {"a": 1}) is not None  # it was not said that the first one was used
        http.keep(page)
        assert await http.get_changed("/feed", {"a": 1}) is None
        assert site.requests[-1].headers["If-Modified-Since"] == "Fri, 09 Aug 2024 12:00:00 GMT"
        assert await http.get_changed("/feed", {"a": 2}) is not None  # another page
        assert await http.get("/feed", {"a": 1}) == b"news"  # without a condition


async def test_a_304_that_was_not_asked_for_is_refused(site: Site) -> None:
    site.answer = lambda _: web.Response(status=304)
    async with opened(site) as http:
        with pytest.raises(RequestRefused):
            await http.get_changed("/feed")


async def test_a_key_travels_where_the_venue_wants_it(site: Site) -> None:
    async with opened(site, key=Key("X-Key", SecretStr(CANARY))) as http:
        await http.get("/a")
    async with opened(site, key=Key("api_key", SecretStr(CANARY), "query")) as http:
        await http.get("/b", {"q": "1"})
    assert site.requests[0].headers["X-Key"] == CANARY
    assert dict(site.requests[0].query) == {}
    assert dict(site.requests[1].query) == {"q": "1", "api_key": CANARY}


@pytest.mark.parametrize("place", ["header", "query"])
@pytest.mark.parametrize("status", [200, 302, 400, 429, 500])
async def test_a_key_is_in_no_log_no_body_and_no_error_whatever_the_venue_answers(
    site: Site, caplog: pytest.LogCaptureFixture, place: Literal["header", "query"], status: int
) -> None:
    caplog.set_level("DEBUG")
    for name in ("httpx", "httpcore"):
        caplog.set_level("DEBUG", logger=name)
    site.answer = lambda request: web.Response(
        status=status, text=f"{request.url} {request.raw_path} {CANARY}", headers={"Location": str(request.url)}
    )
    async with opened(site, key=Key("api_key", SecretStr(CANARY), place)) as http:
        try:
            told = (await http.get("/a", {"q": "1"})).decode()
        except (RetryableError, RequestRefused) as error:
            told = "".join(traceback.format_exception(error)) + repr(error)
    assert len(site.requests) in {1, 2}
    assert "HTTP Request" in caplog.text
    for spelled in (CANARY, quote_plus(CANARY), quote(CANARY)):
        assert spelled not in told
        assert spelled not in caplog.text


async def test_a_key_is_in_no_error_of_a_venue_that_is_away(unused_tcp_port: int) -> None:
    http = VenueHttp(f"http://127.0.0.1:{unused_tcp_port}", attempts=1, key=Key("k", SecretStr(CANARY), "query"))
    with pytest.raises(RetryableError) as caught:
        await http.get("/x")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    await http.aclose()


async def test_a_key_follows_no_redirect_but_feeds_do(site: Site) -> None:
    def answer(request: web.Request) -> web.Response:
        return (
            web.Response(text="here") if request.path == "/b" else web.Response(status=301, headers={"Location": "/b"})
        )

    site.answer = answer
    async with opened(site, key=Key("X-Key", SecretStr(CANARY))) as http:
        with pytest.raises(RequestRefused, match="301"):
            await http.get("/a")
    async with opened(site) as http:
        assert await http.get("/a") == b"here"


async def test_each_try_counts_against_the_budget_and_a_spent_one_is_not_tried_again(site: Site) -> None:
    site.answer = lambda _: web.Response(status=500)
    async with opened(site, budget=Budget("x", [Limit(3, 60)])) as http:
        for _ in range(2):
            with pytest.raises(RetryableError):
                await http.get("/a")
        with pytest.raises(RetryableError, match="budget"):
            await http.get("/a")
    assert len(site.requests) == 3


async def test_a_budget_that_tries_have_spent_does_not_hide_why_they_failed(site: Site) -> None:
    site.answer = lambda _: web.Response(status=500)
    async with opened(site, budget=Budget("x", [Limit(1, 60)])) as http:
        with pytest.raises(RetryableError, match=r"500.*then .*budget"):
            await http.get("/a")


async def test_an_answer_without_end_is_not_read_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 1_000)
    site.answer = lambda _: web.Response(body=b"x" * 100_000)
    async with opened(site) as http:
        with pytest.raises(RequestRefused, match="without end"):
            await http.get("/a")


async def test_a_venue_that_does_not_answer_in_time_can_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    holding = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        await holding.wait()
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/slow", handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http = VenueHttp(f"http://127.0.0.1:{runner.addresses[0][1]}", attempts=2)
    with pytest.raises(RetryableError, match="ReadTimeout"):
        await http.get("/slow")
    holding.set()
    await http.aclose()
    await runner.cleanup()
