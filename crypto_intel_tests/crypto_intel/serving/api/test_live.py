"""Live updates: a snapshot, then what changes; found again after a cut; nobody holds others up; no alert is lost."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
import websockets
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from crypto_intel.serving import keys
from crypto_intel.serving.api.auth import KEPT_S
from crypto_intel.serving.api.live.connection import RECHECK_S
from crypto_intel.serving.api.live.events import MAX_ALERTS, Outbox, event
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel_tests.crypto_intel.serving.api.server import JWT_SECRET, served, settings
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.postgres import PostgresSink, Upsert
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack
Message = dict[str, Any]


@pytest.fixture(scope="module")
def live_dsn(postgres_dsn: str) -> str:
    """A database with two markets, a bar and three alerts."""
    dsn = ensure_database(postgres_dsn, f"live_{uuid.uuid4().hex[:8]}")
    migrate(dsn)
    with psycopg.connect(dsn) as connection:
        upsert_frame(
            connection,
            "live_markets",
            sample.frame("live_markets", sample.live(100.0, 0), sample.live(5.0, 0, symbol="ETH-USDT")),
        )
        upsert_frame(connection, "bars_1m", sample.frame("bars_1m", sample.bar(0)))
    _raise_alerts(dsn, *range(3))
    return dsn


@pytest.fixture(scope="module")
def live(live_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the WebSocket of an API whose reads are open."""
    with served(settings(live_dsn, tmp_path_factory.mktemp("live"), open_reads=True)) as address:
        yield address.replace("http", "ws") + "/ws"


def _raise_alerts(dsn: str, *numbers: int, symbol: str = "BTC-USDT") -> None:
    sink = PostgresSink(SecretStr(dsn), query="live", epoch=uuid.uuid4().hex)
    sink.publish(1, alerts=[sample.alert(f"alert-{number}", symbol=symbol) for number in numbers])
    sink.close()


def _write(dsn: str, *upserts: Upsert) -> None:
    with psycopg.connect(dsn) as connection:
        for upsert in upserts:
            upsert_frame(connection, upsert.table, upsert.frame)


def _price(price: float, second: int, symbol: str = "BTC-USDT") -> Upsert:
    return Upsert("live_markets", sample.frame("live_markets", sample.live(price, second, symbol=symbol)))


@asynccontextmanager
async def _following(address: str, *, token: str | None = None, **wanted: Any) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with connect(address, additional_headers=headers) as socket:
        if wanted:
            await socket.send(json.dumps({"op": "subscribe", **wanted}))
        yield socket


async def _next(socket: ClientConnection, wanted: Callable[[Message], bool], within_s: float = 10) -> Message:
    async with asyncio.timeout(within_s):
        while True:
            message: Message = json.loads(await socket.recv())
            if wanted(message):
                return message


def _is(kind: str, channel: str | None = None) -> Callable[[Message], bool]:
    return lambda message: message["type"] == kind and message.get("channel") == channel


async def test_a_follower_gets_a_snapshot_and_then_each_change(live: str, live_dsn: str) -> None:
    async with _following(live, channels=["prices", "bars", "alerts", "feeds"]) as socket:
        prices = await _next(socket, _is("snapshot", "prices"))
        bars = await _next(socket, _is("snapshot", "bars"))
        feeds = await _next(socket, _is("snapshot", "feeds"))
        alerts = await _next(socket, _is("snapshot", "alerts"))
        assert {row["symbol"] for row in prices["data"]} == {"BTC-USDT", "ETH-USDT"}
        assert [row["close"] for row in bars["data"]] == [101.0]
        assert {row["state"] for row in feeds["data"]} == {"live"}
        assert [row["alert_id"] for row in alerts["data"]] == ["alert-0", "alert-1", "alert-2"]
        began = time.monotonic()
        _write(live_dsn, _price(123.5, 1))
        price = await _next(socket, _is("price"))
        assert (price["data"]["price"], price["data"]["symbol"]) == (123.5, "BTC-USDT")
        assert time.monotonic() - began < 1.5, "a NOTIFY wakes the hub; polling alone takes two seconds"
        _write(live_dsn, Upsert("bars_1m", sample.frame("bars_1m", sample.bar(1, completeness="partial"))))
        bar = await _next(socket, _is("bar"))
        feed = await _next(socket, _is("feed"))
        assert feed["data"]["completeness"] == "partial"
        _raise_alerts(live_dsn, 3)
        alert = await _next(socket, _is("alert"))
        assert alert["data"]["alert_id"] == "alert-3"
        assert price["seq"] < bar["seq"] < alert["seq"]


async def test_only_what_was_asked_for_comes(live: str, live_dsn: str) -> None:
    async with _following(live, channels=["prices"], symbols=["ETH-USDT"]) as socket:
        snapshot = await _next(socket, _is("snapshot", "prices"))
        assert [row["symbol"] for row in snapshot["data"]] == ["ETH-USDT"]
        _write(live_dsn, _price(124.0, 2))
        _write(live_dsn, _price(6.0, 2, "ETH-USDT"))
        first = await _next(socket, _is("price"))
        assert first["data"]["symbol"] == "ETH-USDT"


async def test_who_was_cut_gets_what_was_missed(live: str, live_dsn: str) -> None:
    async with _following(live, channels=["prices", "alerts"]) as socket:
        session = (await _next(socket, _is("welcome")))["session"]
        subscribed = await _next(socket, _is("subscribed"))
    _write(live_dsn, _price(130.0, 3))
    _write(live_dsn, _price(131.0, 4))
    _raise_alerts(live_dsn, 10, 11)
    place = {"session": session, "seq": subscribed["seq"], "alert_seq": subscribed["alert_seq"]}
    async with _following(live, channels=["prices", "alerts"], resume=place) as socket:
        assert (await _next(socket, _is("subscribed")))["resumed"]
        seen: list[Message] = []
        while not any(m["data"].get("price") == 131.0 for m in seen) or len(_alerts(seen)) < 2:
            seen.append(await _next(socket, lambda m: m["type"] in {"price", "alert"}))
    assert _alerts(seen) == ["alert-10", "alert-11"]
    assert {m["data"]["symbol"] for m in seen if m["type"] == "price"} == {"BTC-USDT"}


def _alerts(messages: list[Message]) -> list[str]:
    return [message["data"]["alert_id"] for message in messages if message["type"] == "alert"]


async def test_no_alert_is_lost_or_doubled_over_a_restart_of_the_api(live_dsn: str, data_dir: Path) -> None:
    wanted = settings(live_dsn, data_dir, open_reads=True)
    with served(wanted) as address:
        async with _following(address.replace("http", "ws") + "/ws", channels=["alerts"]) as socket:
            known = (await _next(socket, _is("subscribed")))["alert_seq"]
    _raise_alerts(live_dsn, *range(20, 30))
    place = {"session": "of the API before", "seq": 5, "alert_seq": known}
    with served(wanted) as address:
        async with _following(address.replace("http", "ws") + "/ws", channels=["alerts"], resume=place) as socket:
            _raise_alerts(live_dsn, *range(30, 35))
            seen = [(await _next(socket, _is("alert")))["data"]["alert_id"] for _ in range(15)]
    assert sorted(seen) == sorted(f"alert-{number}" for number in range(20, 35))


async def test_a_slow_client_loses_prices_in_between_and_no_alert() -> None:
    outbox = Outbox()
    for number in range(500):
        outbox.put(event(number, "prices", {"venue": "binance", "symbol": "BTC-USDT", "price": number}))
        if number % 10 == 0:
            row = {"venue": "binance", "symbol": "BTC-USDT", "alert_id": str(number), "alert_seq": number}
            outbox.put(event(number, "alerts", row))
    waiting = [json.loads(kept.text) for kept in outbox.take()]
    assert [m["data"]["price"] for m in waiting if m["type"] == "price"] == [499]
    assert len([m for m in waiting if m["type"] == "alert"]) == 50
    assert (outbox.take_skipped(), outbox.overflowed) == (499, False)


async def test_too_many_waiting_alerts_end_the_connection_instead_of_losing_one() -> None:
    outbox = Outbox()
    for number in range(MAX_ALERTS + 1):
        row = {"venue": "binance", "symbol": "BTC-USDT", "alert_id": str(number), "alert_seq": number}
        outbox.put(event(number, "alerts", row))
    assert outbox.overflowed
    assert len(outbox.take()) == MAX_ALERTS


async def test_a_client_that_reads_nothing_holds_nobody_up(live: str, live_dsn: str) -> None:
    async with _following(live, channels=["prices"]) as idle, _following(live, channels=["prices"]) as quick:
        await _next(quick, _is("snapshot", "prices"))
        for number in range(50):
            _write(live_dsn, _price(200.0 + number, 100 + number))
        await _next(quick, lambda m: m["type"] == "price" and m["data"]["price"] == 249.0)
        idle.transport.abort()  # closing in order takes one who reads, and is waited for


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"op":"drop"}', '{"op":"subscribe"}', '{"op":"subscribe","channels":["all"]}',
     '{"op":"subscribe","channels":["prices"],"symbols":["\'; DROP TABLE alerts"]}',
     '{"op":"subscribe","channels":["alerts"],"resume":{"alert_seq":99999999999999999999}}',
     '{"op":"ping","more":1}'],
)  # fmt: skip
async def test_a_message_that_does_not_fit_is_answered_with_what_is_wrong(live: str, text: str) -> None:
    async with _following(live) as socket:
        await socket.send(text)
        assert (await _next(socket, _is("error")))["detail"]
        await socket.send('{"op":"ping"}')
        await _next(socket, _is("pong"))


async def test_a_long_message_or_too_many_end_the_connection(live: str) -> None:
    async with _following(live) as socket:
        await socket.send("x" * 20_000)
        with pytest.raises(websockets.ConnectionClosed):
            await _next(socket, lambda _: False)
    async with _following(live) as socket:
        for _ in range(70):
            await socket.send('{"op":"ping"}')
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await _next(socket, lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_the_page_of_another_site_may_not_follow(live: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(live, origin=websockets.Origin("https://evil.example")).__aenter__()
    assert refused.value.response.status_code == 403
    async with connect(live, origin=websockets.Origin(live.replace("ws", "http").partition("/api")[0])) as socket:
        await _next(socket, _is("welcome"))


@pytest.fixture(scope="module")
def closed_live(live_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the WebSocket of an API that wants a credential."""
    with served(settings(live_dsn, tmp_path_factory.mktemp("closed"))) as address:
        yield address.replace("http", "ws") + "/ws"


def _token(seconds: float, **changes: Any) -> str:
    claims = {"sub": "u", "role": "authenticated", "aud": "authenticated", "exp": time.time() + seconds, **changes}
    return jwt.encode(claims, JWT_SECRET, "HS256")


async def _closing_code(address: str, token: str | None, first: str | None = None) -> int | None:
    async with _following(address, token=token) as socket:
        if first:
            await socket.send(first)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await _next(socket, lambda _: False, within_s=20)
        return closed.value.rcvd.code if closed.value.rcvd else None


async def test_without_a_good_credential_nothing_is_told(closed_live: str) -> None:
    assert await _closing_code(closed_live, _token(-60)) == 4401
    assert await _closing_code(closed_live, _token(60, aud="other")) == 4401
    assert await _closing_code(closed_live, "ci_0123456789ab_" + "A" * 43) == 4401
    assert await _closing_code(closed_live, None, '{"op":"subscribe","channels":["prices"]}') == 4401
    assert await _closing_code(closed_live, None, '{"op":"auth","token":"nonsense"}') == 4401


async def test_a_credential_may_come_as_the_first_message(closed_live: str, live_dsn: str) -> None:
    key = keys.create(SecretStr(live_dsn), "browser").get_secret_value()
    async with _following(closed_live) as socket:
        await socket.send(json.dumps({"op": "auth", "token": key}))
        await _next(socket, _is("welcome"))


async def test_a_connection_ends_when_its_key_is_revoked_and_others_go_on(closed_live: str, live_dsn: str) -> None:
    leaked, good = (keys.create(SecretStr(live_dsn), name).get_secret_value() for name in ("leaked", "good"))
    async with _following(closed_live, token=leaked) as socket, _following(closed_live, token=good) as other:
        await _next(socket, _is("welcome"))
        assert keys.revoke(SecretStr(live_dsn), leaked.split("_")[1])
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await _next(socket, lambda _: False, within_s=KEPT_S + RECHECK_S + 5)
        assert closed.value.rcvd and closed.value.rcvd.code == 4401
        await other.send('{"op":"ping"}')
        await _next(other, _is("pong"))


async def test_a_connection_ends_when_its_token_expires(live_dsn: str, data_dir: Path) -> None:
    jwt_settings = {"secret": JWT_SECRET, "leeway_s": 0}
    with served(settings(live_dsn, data_dir, jwt=jwt_settings)) as address:
        began = time.monotonic()
        assert await _closing_code(address.replace("http", "ws") + "/ws", _token(2)) == 4401
        assert timedelta(seconds=1) < timedelta(seconds=time.monotonic() - began) < timedelta(seconds=8)
