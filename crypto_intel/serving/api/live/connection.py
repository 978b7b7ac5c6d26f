"""One WebSocket client: who it is, what it asks for, and sending without ever holding others up.

    client -> {"op": "auth", "token": "ci_..."}                       where no header could be set
              {"op": "subscribe", "channels": ["prices", "bars", "alerts", "feeds"], "symbols": ["BTC-USDT"],
               "resume": {"session": "...", "seq": 812, "alert_seq": 41}}       symbols and resume may be left out
              {"op": "unsubscribe", "channels": ["bars"]}   {"op": "ping"}
    server -> welcome, subscribed, snapshot (one a channel), price, bar, alert, feed, skipped, heartbeat, pong, error

Every update has `seq`, growing; a client that was cut tells the last one with its session and gets what it missed, or
a snapshot where that is no longer known. Alerts have `alert_seq`, which the database keeps: whoever tells the last one
gets every alert behind it, also after a restart of the API.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from crypto_intel.contracts.symbols import SYMBOL_PATTERN
from crypto_intel.serving.api.access import Services, identify
from crypto_intel.serving.api.auth import Caller
from crypto_intel.serving.api.live.events import CHANNELS, Channel, Event, Interest, message
from crypto_intel.serving.api.live.hub import Hub, Listener
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.database import UnavailableError
from crypto_intel.serving.queries import alerts

HEARTBEAT_S = 15.0
AUTH_S = 10.0
RECHECK_S = 5.0
"""How often a credential is looked at again: a revoked key ends its connections within these seconds and those for
which the gate remembers it. It costs a query a key and five seconds at most, however many connections the key has."""

SEND_S = 30.0
"""A client that takes nothing for so long is cut off; it finds its place when it comes back."""

MESSAGES_PER_MINUTE = 60
RESUMED_ALERTS = 10_000
_POLICY, _TRY_LATER, _UNAUTHORIZED, _TOO_SLOW = 1008, 1013, 4401, 4408

_Symbol = Annotated[str, msgspec.Meta(pattern=SYMBOL_PATTERN, max_length=26)]


class _Resume(msgspec.Struct, forbid_unknown_fields=True):
    session: Annotated[str, msgspec.Meta(max_length=64)] = ""
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    alert_seq: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


class _Auth(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="auth"):
    token: Annotated[str, msgspec.Meta(max_length=8_192)]


class _Subscribe(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="subscribe"):
    channels: Annotated[list[Channel], msgspec.Meta(min_length=1, max_length=8)]
    symbols: Annotated[list[_Symbol], msgspec.Meta(max_length=100)] = []
    resume: _Resume | None = None


class _Unsubscribe(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="unsubscribe"):
    channels: Annotated[list[Channel], msgspec.Meta(min_length=1, max_length=8)]


class _Ping(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="ping"):
    pass


_Op = _Auth | _Subscribe | _Unsubscribe | _Ping
_decoder: msgspec.json.Decoder[_Op] = msgspec.json.Decoder(_Op)


class ClosedError(Exception):
    """The connection is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """One client from its acceptance to its end."""

    def __init__(self, socket: WebSocket, has: Services, hub: Hub) -> None:
        self._socket = socket
        self._has = has
        self._hub = hub
        self._listener = Listener()
        self._address = socket.client.host if socket.client else "unknown"
        self._credential = _credential(socket)

    async def serve(self) -> None:
        """Serve until either side ends it."""
        try:
            caller = await self._caller()
            await self._hub.join(self._listener)
            await self._send(
                message("welcome", session=self._hub.session, heartbeat_s=HEARTBEAT_S, channels=list(CHANNELS))
            )
            await self._work(caller)
        except (ClosedError, UnavailableError) as end:
            code, reason = (end.code, end.reason) if isinstance(end, ClosedError) else (_TRY_LATER, "no database")
            await _close(self._socket, code, reason)
        except WebSocketDisconnect:
            pass
        finally:
            self._hub.leave(self._listener)

    async def _work(self, caller: Caller) -> None:
        jobs = [self._read(), self._write(), self._watch(caller)]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _caller(self) -> Caller:
        if self._credential is None and not self._has.settings.api.open_reads:
            self._credential = await self._asked_token()
        return await self._check()

    async def _asked_token(self) -> str:
        try:
            op = _decoder.decode(await asyncio.wait_for(self._socket.receive_text(), AUTH_S))
        except (TimeoutError, msgspec.DecodeError, KeyError):
            op = None
        if not isinstance(op, _Auth):
            raise ClosedError(_UNAUTHORIZED, "send a credential in a header or as the first message")
        return op.token

    async def _check(self) -> Caller:
        try:
            caller = await identify(self._has, self._credential, self._address)
        except ProblemError as problem:
            raise ClosedError(_UNAUTHORIZED, problem.detail[:120]) from None
        if not caller.may("read"):
            raise ClosedError(_UNAUTHORIZED, "the scope 'read' is needed")
        return caller

    async def _watch(self, caller: Caller) -> None:
        while True:
            left = caller.expires_at - time.time() if caller.expires_at else RECHECK_S
            await asyncio.sleep(min(max(left, 0.1), RECHECK_S))
            caller = await self._check()

    async def _read(self) -> None:
        window: list[float] = []
        while True:
            text = await self._socket.receive_text()
            now = time.monotonic()
            window = [at for at in window if now - at < 60] + [now]
            if len(window) > MESSAGES_PER_MINUTE:
                raise ClosedError(_POLICY, f"at most {MESSAGES_PER_MINUTE} messages a minute")
            try:
                op = _decoder.decode(text)
            except msgspec.DecodeError as error:
                await self._send(message("error", detail=str(error)[:300]))
                continue
            await self._obey(op)

    async def _obey(self, op: _Op) -> None:
        match op:
            case _Subscribe():
                await self._subscribe(op)
            case _Unsubscribe():
                mine = self._listener.interest
                self._listener.interest = Interest(mine.channels - set(op.channels), mine.symbols)
                await self._send(message("subscribed", channels=sorted(self._listener.interest.channels)))
            case _Ping():
                await self._send(message("pong", seq=self._hub.seq))
            case _Auth():
                self._credential = op.token
                await self._check()

    async def _subscribe(self, op: _Subscribe) -> None:
        # One subscription a connection: symbols are those of the latest, channels add up.
        before = self._listener.interest
        wanted = Interest(before.channels | set(op.channels), frozenset(op.symbols) if op.symbols else None)
        self._listener.interest = wanted
        seq, alert_seq = self._hub.seq, self._hub.alert_seq  # what comes from here on is in the outbox
        fresh = Interest(frozenset(op.channels), wanted.symbols)
        missed = self._hub.since(op.resume.session, op.resume.seq) if op.resume else None
        first = self._first(fresh, missed)
        await self._send(
            message(
                "subscribed", channels=sorted(wanted.channels), seq=seq, alert_seq=alert_seq, resumed=missed is not None
            )
        )
        for text in first:
            await self._send(text)
        if "alerts" in op.channels:
            after = op.resume.alert_seq if op.resume else None
            async for text in self._alerts(fresh, after, alert_seq):
                await self._send(text)

    def _first(self, fresh: Interest, missed: list[Event] | None) -> list[str]:
        if missed is not None:  # newest of each key: prices in between are nobody's loss
            newest = {event.key: event for event in missed if fresh.covers(event) and event.channel != "alerts"}
            return [event.text for event in newest.values()]
        texts = []
        for channel in CHANNELS:
            if channel in fresh.channels and channel != "alerts":
                rows = [msgspec.Raw(event.data.encode()) for event in self._hub.state(fresh, channel)]
                texts.append(message("snapshot", channel=channel, seq=self._hub.seq, data=rows))
        return texts

    async def _alerts(self, fresh: Interest, after: int | None, until: int) -> AsyncIterator[str]:
        # From the database, up to what the outbox begins with: none twice, none left out.
        if after is None:
            rows = (await self._has.database.page(alerts.newest_alerts())).dicts()
            rows = [row for row in reversed(rows) if row["alert_seq"] <= until and _wants(fresh, row["symbol"])]
            yield message("snapshot", channel="alerts", seq=self._hub.seq, data=rows)
            return
        sent = 0
        while after < until and (rows := (await self._has.database.page(alerts.alerts_after(after))).dicts()):
            after = int(rows[-1]["alert_seq"])
            for row in rows:
                if row["alert_seq"] <= until and _wants(fresh, row["symbol"]):
                    yield message("alert", seq=self._hub.seq, data=row)
            sent += len(rows)
            if sent >= RESUMED_ALERTS:
                raise ClosedError(_TOO_SLOW, "too many alerts were missed: read /api/v1/alerts")

    async def _write(self) -> None:
        outbox = self._listener.outbox
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await outbox.wake.wait()
            except TimeoutError:
                await self._send(message("heartbeat", seq=self._hub.seq, fresh=self._hub.is_fresh, time=_now()))
            if outbox.overflowed:
                raise ClosedError(_TOO_SLOW, "too slow: come back with your last alert_seq")
            for event in outbox.take():
                await self._send(event.text)
            if skipped := outbox.take_skipped():
                await self._send(message("skipped", count=skipped, seq=self._hub.seq))

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_S):  # no task of its own: this runs a thousand times a second
                await self._socket.send_text(text)
        except TimeoutError:
            raise ClosedError(_TOO_SLOW, "too slow: come back with your last seq") from None
        except RuntimeError:  # Starlette's word for a socket that is closed already
            raise WebSocketDisconnect(1006) from None


def origin_is_allowed(socket: WebSocket, origins: tuple[str, ...]) -> bool:
    """A page's own origin, one that is set, or no page at all; anybody else's page must not read for its visitor."""
    origin = socket.headers.get("origin")
    host = socket.headers.get("host", "")
    return origin is None or origin in origins or origin in {f"http://{host}", f"https://{host}"}


def _credential(socket: WebSocket) -> str | None:
    kind, _, token = socket.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token
    return socket.headers.get("x-api-key")


def _wants(interest: Interest, symbol: str) -> bool:
    return interest.symbols is None or symbol in interest.symbols


def _now() -> datetime:
    return datetime.now(UTC)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        await socket.close(code, reason)
    except (RuntimeError, WebSocketDisconnect):
        return  # it is closed already
