"""A connection against a server that misbehaves on request: reconnects, hand-overs, limits, a quiet stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crypto_intel_tests.streaming.producers.harness import eventually
from crypto_intel_tests.streaming.producers.wires import Endpoint, Heard, Line, Server, serving
from streaming.errors import FatalError
from streaming.producers.connection import Connection
from streaming.producers.settings import Reconnect, Venue

pytestmark = pytest.mark.stack
QUICK = {"wait_initial_s": 0.01, "wait_max_s": 0.1, "jitter_s": 0.01, "silence_s": 0.4, "steady_s": 0.2}


@asynccontextmanager
async def connected(
    server: Server, heard: Heard, limits: Venue | None = None, endpoint: Endpoint | None = None, **changes: Any
) -> AsyncIterator[tuple[Connection, asyncio.Task[None]]]:
    settings = Reconnect(**{**QUICK, "overlap_s": 0.1, **changes})
    connection = Connection(endpoint or Endpoint(server.url), heard, settings, limits)
    task = asyncio.create_task(connection.run())
    try:
        yield connection, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_messages_arrive_whole_and_in_order() -> None:
    heard = Heard()
    async with serving() as server, connected(server, heard):
        await eventually(lambda: server.lines)
        server.lines[0].send(*(b"%d" % number for number in range(100)))
        await eventually(lambda: len(heard.of("message")) == 100)
    assert heard.of("message") == [b"%d" % number for number in range(100)]


async def test_what_subscribes_is_sent_again_on_every_connection() -> None:
    heard = Heard()
    async with serving() as server:
        endpoint = Endpoint(server.url, greetings=(b"trade", b"ticker"))
        async with connected(server, heard, endpoint=endpoint):
            await eventually(lambda: server.lines and server.lines[0].heard == [b"trade", b"ticker"])
            server.lines[0].close(b"maintenance")
            await eventually(lambda: len(server.lines) == 2 and server.lines[1].heard == [b"trade", b"ticker"])
    assert heard.of("disconnected")[0] == "maintenance"


async def test_before_the_planned_end_another_connection_takes_over_and_nothing_falls_between() -> None:
    heard, count = Heard(), iter(range(1_000_000))
    async with serving() as server, connected(server, heard, hand_over_s=0.3) as (connection, _):
        for number in count:
            for line in server.lines:
                if line.is_open:
                    line.send(b"%d" % number)
            await asyncio.sleep(0.005)
            if connection.handed_over >= 3:
                break
    assert heard.of("disconnected") == ["stopped"]
    given = [value for name, value in heard.events if name == "message"]
    again = [payload for payloads in heard.of("overlap") for payload in payloads]  # type: ignore[attr-defined]
    numbers = {int(payload) for payload in (*given, *again)}  # type: ignore[call-overload]
    assert numbers == set(range(min(numbers), max(numbers) + 1))
    assert again
    assert len(given) == len(set(given))  # the old and the new connection never speak at the same time


async def test_what_the_next_connection_says_with_its_handshake_waits_for_the_last_of_the_one_before() -> None:
    heard = Heard()
    async with serving() as server, connected(server, heard) as (connection, _):
        await eventually(lambda: heard.of("connected"))
        server.on_open = lambda line: line.send(b"first of the new")
        connection.hand_over("server shutdown announced")
        await eventually(lambda: connection.handed_over == 1)
    assert heard.of("message") == []
    assert heard.of("overlap") == [[b"first of the new"]]


async def test_an_announced_close_makes_another_connection_at_once() -> None:
    heard = Heard()
    async with serving() as server, connected(server, heard) as (connection, _):
        await eventually(lambda: heard.of("connected"))
        connection.hand_over("server shutdown announced")
        await eventually(lambda: connection.handed_over == 1)
        server.lines[1].send(b"new")
        await eventually(lambda: heard.of("message"))
        assert [line.is_open for line in server.lines] == [False, True]
    assert heard.of("disconnected") == ["stopped"]


async def test_a_hand_over_that_fails_leaves_the_connection_that_is_there() -> None:
    heard = Heard()
    async with serving() as server:
        endpoint = Endpoint(server.url)
        async with connected(server, heard, endpoint=endpoint) as (connection, _):
            await eventually(lambda: heard.of("connected"))
            endpoint.url = "ws://127.0.0.1:1"
            connection.hand_over("server shutdown announced")
            await eventually(lambda: not connection._closing.is_set())
            server.lines[0].send(b"still here")
            await eventually(lambda: heard.of("message"))
    assert heard.of("disconnected") == ["stopped"]


async def test_a_venue_that_sends_heartbeats_is_given_up_when_it_falls_silent_though_it_answers_pings() -> None:
    heard = Heard()
    async with serving() as server, connected(server, heard, endpoint=Endpoint(server.url, beats=True)):
        await eventually(lambda: heard.of("connected"))
        server.lines[0].send(b"beat")
        started = time.monotonic()
        await eventually(lambda: heard.of("disconnected"))
        silent_s = time.monotonic() - started
        await eventually(lambda: len(server.lines) == 2)
    assert heard.of("disconnected")[0] == "no frame for 0.4 s from a venue that sends heartbeats"
    assert silent_s < 1.1 * QUICK["silence_s"] + 0.2


async def test_without_heartbeats_an_answered_ping_is_life() -> None:
    heard = Heard()
    async with serving() as server, connected(server, heard):
        await eventually(lambda: len(heard.of("alive")) >= 3)
        assert heard.of("disconnected") == []


async def test_the_venues_limit_of_connects_is_held_across_reconnects() -> None:
    heard, opened = Heard(), list[float]()

    def refuse(line: Line) -> None:
        opened.append(time.monotonic())
        asyncio.get_running_loop().call_soon(line.close, b"no")

    async with serving() as server:
        server.on_open = refuse
        limits = Venue(connects=4, connects_window_s=0.8)
        async with connected(server, heard, limits):
            await eventually(lambda: len(opened) >= 13)
    assert all(later - earlier >= 0.75 for earlier, later in zip(opened, opened[4:], strict=False))


async def test_messages_to_the_venue_keep_its_limit() -> None:
    heard = Heard()
    async with serving() as server:
        endpoint = Endpoint(server.url, greetings=tuple(b"%d" % i for i in range(5)))
        started = time.monotonic()
        async with connected(server, heard, Venue(messages_per_s=2), endpoint):
            await eventually(lambda: server.lines and len(server.lines[0].heard) == 5)
    assert time.monotonic() - started >= 1.9


async def test_the_end_of_a_recording_ends_it_for_good_behind_what_came_before() -> None:
    heard = Heard()
    heard.prepared.clear()
    async with serving() as server, connected(server, heard) as (_, task):
        await eventually(lambda: server.lines)
        server.lines[0].send(b"last")
        server.lines[0].close(b"end of recording")
        await eventually(lambda: heard.of("message"))
        assert not task.done()
        heard.prepared.set()
        await asyncio.wait_for(task, 5)
    assert heard.of("disconnected") == ["end of recording"]


async def test_a_stop_says_so_and_reads_no_more() -> None:
    heard = Heard()
    async with serving() as server:
        async with connected(server, heard):
            await eventually(lambda: heard.of("connected"))
        assert heard.of("disconnected") == ["stopped"]
        await eventually(lambda: not server.lines[0].is_open)


async def test_an_error_of_the_handler_ends_it_loudly() -> None:
    class Failing(Heard):
        def on_message(self, payload: bytes) -> None:
            raise FatalError("not delivered")

    async with serving() as server, connected(server, Failing()) as (_, task):
        await eventually(lambda: server.lines)
        server.lines[0].send(b"x")
        with pytest.raises(FatalError, match="not delivered"):
            await asyncio.wait_for(task, 5)


async def test_a_message_in_fragments_is_put_together() -> None:
    heard = Heard()
    async with serving() as server, connected(server, heard):
        await eventually(lambda: server.lines)
        transport = server.lines[0].transport
        assert transport is not None
        raw = transport.underlying_transport
        raw.write(b"\x01\x02ab" + b"\x00\x01c" + b"\x80\x02de")  # text, continuation, last continuation
        await eventually(lambda: heard.of("message"))
    assert heard.of("message") == [b"abcde"]


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_handshake_that_is_not_answered_is_told_and_tried_again(is_closed: bool) -> None:
    heard = Heard()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if is_closed:
            writer.close()

    listening = await asyncio.start_server(deaf, "127.0.0.1", 0)
    async with serving() as server:
        endpoint = Endpoint(f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        async with connected(server, heard, endpoint=endpoint, handshake_s=0.3):
            await eventually(lambda: heard.of("disconnected"))
            endpoint.url = server.url
            await eventually(lambda: heard.of("connected"))
    listening.close()
    expected = "closed before the handshake was answered" if is_closed else "no handshake within 0.3 s"
    assert heard.of("disconnected")[0] == expected
