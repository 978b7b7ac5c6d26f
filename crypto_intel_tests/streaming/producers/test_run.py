"""What every producer has at its start: a clock that is held to the venue's answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streaming.clock import PlatformClock, wall_us
from streaming.producers.http import VenueHttp
from streaming.producers.run import hold_to_venue

AHEAD = timedelta(minutes=10)


async def answer(request: web.Request) -> web.Response:
    """A venue whose time is ten minutes ahead of ours; /cached is what a cache has kept."""
    date = {"Date": format_datetime(datetime.now(UTC) + AHEAD, usegmt=True)}
    return web.Response(text="{}", headers=date | ({"Age": "7"} if request.path == "/cached" else {}))


@pytest.mark.parametrize(("path", "ahead_s"), [("/fresh", 600), ("/cached", 0)])
async def test_answers_date_the_clock_unless_a_cache_gave_them(path: str, ahead_s: int) -> None:
    app = web.Application()
    app.router.add_get("/{any}", answer)
    async with TestServer(app) as server:
        http, clock = VenueHttp(str(server.make_url("/"))), PlatformClock()
        hold_to_venue(clock, http)
        assert await http.get(path) == b"{}"
        assert clock.now_us() == pytest.approx(wall_us() + ahead_s * 1_000_000, abs=2_000_000)
        await http.aclose()
