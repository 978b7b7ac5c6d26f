"""Live updates: `async for update in follow(channels=["prices"])`; a cut is mended, and no alert is missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from crypto_intel.client import requests as ask
from crypto_intel.client.requests import ApiError

Channel = Literal["prices", "bars", "alerts", "feeds"]
SILENT_S = 45.0
"""The API sends a heartbeat each 15 s at least; without one for so long the connection is dead."""

_KINDS = {"price": "prices", "bar": "bars", "alert": "alerts", "feed": "feeds"}
_UNAUTHORIZED = 4401


@dataclass(frozen=True)
class Update:
    """One row that is new or has changed. `is_snapshot`: it is how things stood when the connection was made."""

    channel: str
    seq: int
    data: dict[str, Any]
    is_snapshot: bool = False


async def follow(
    *,
    channels: Sequence[Channel],
    symbols: Sequence[str] = (),
    url: str = "ws://127.0.0.1:8000",
    key: str | None = None,
    alerts_after: int | None = None,
) -> AsyncIterator[Update]:
    """Updates for ever; after a cut it goes on where it was.

    Args:
        symbols: markets; empty: all.
        alerts_after: the last `alert_seq` that was seen, to go on from; None: from the newest ones.

    Raises:
        ApiError: the credential is not good (any more).
    """
    place: dict[str, Any] = {} if alerts_after is None else {"alert_seq": alerts_after}
    pause_s = 0.5
    while True:
        try:
            async with connect(f"{url.rstrip('/')}{ask.PREFIX}/ws", additional_headers=ask.headers(key)) as socket:
                await _subscribe(socket, channels, symbols, place)
                async for update in _updates(socket, place):
                    pause_s = 0.5
                    yield update
        except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as cut:
            if isinstance(cut, ConnectionClosed) and cut.rcvd and cut.rcvd.code == _UNAUTHORIZED:
                raise ApiError(401, {"type": ":unauthorized", "detail": cut.rcvd.reason}) from None
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 15.0)


async def _subscribe(
    socket: ClientConnection, channels: Sequence[str], symbols: Sequence[str], place: dict[str, Any]
) -> None:
    wanted = {"op": "subscribe", "channels": list(channels), "symbols": list(symbols)}
    await socket.send(json.dumps(wanted | ({"resume": place} if place else {})))


async def _updates(socket: ClientConnection, place: dict[str, Any]) -> AsyncIterator[Update]:
    # `place` is kept up to date: it is what a new connection resumes from.
    while True:
        async with asyncio.timeout(SILENT_S):
            message = json.loads(await socket.recv())
        kind = message["type"]
        if kind == "welcome" and place.get("session") != message["session"]:
            place |= {"session": message["session"], "seq": 0}
        if kind == "subscribed":
            place["seq"] = max(place.get("seq", 0), message["seq"])
            place.setdefault("alert_seq", message["alert_seq"])
        if kind == "snapshot":
            for row in message["data"]:
                yield Update(message["channel"], message["seq"], row, is_snapshot=True)
        if kind in _KINDS:
            place["seq"] = max(place.get("seq", 0), message["seq"])
            if kind == "alert":
                place["alert_seq"] = max(place["alert_seq"], message["data"]["alert_seq"])
            yield Update(_KINDS[kind], message["seq"], message["data"])
