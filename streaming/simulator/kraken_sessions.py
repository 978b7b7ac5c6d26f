"""Kraken's two conversations: v2 (objects, numbers, snapshots) and v1 (arrays, strings, no ids).

Text in, messages out; the wire forms are in kraken.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from streaming.simulator import kraken
from streaming.simulator.desk import Desk
from streaming.simulator.venue import Frame, VenueSymbol, instant_text

_CHANNELS = (kraken.TRADE, kraken.TICKER)
_FAREWELL_V2 = (
    b'{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"maintenance","api_version":"v2",'
    b'"connection_id":0}]}'
)
_FAREWELL_V1 = b'{"connectionID":0,"event":"systemStatus","status":"maintenance","version":"1.9.6"}'
_connections = itertools.count(13_834_774_380_200_000_001)


class KrakenV2Session:
    """WebSocket v2.

    Args:
        desk: the world.
    """

    venue = "kraken"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_name = {symbol.name: symbol for symbol in desk.symbols(self.venue)}
        self.streams: frozenset[str] = frozenset()

    def greeting(self) -> list[bytes]:
        """The venue's status."""
        status = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": next(_connections)}
        return [msgspec.json.encode({"channel": "status", "type": "update", "data": [status]})]

    def on_text(self, payload: bytes) -> list[bytes]:
        """subscribe, unsubscribe and ping."""
        time_in = instant_text(self._desk.now_us())
        try:
            request = msgspec.json.decode(payload, type=dict[str, Any])
        except msgspec.DecodeError:
            return [msgspec.json.encode({"error": "Malformed request", "success": False} | self._times(time_in))]
        common = {"req_id": request["req_id"]} if "req_id" in request else {}
        common |= self._times(time_in)
        method = request.get("method")
        if method == "ping":
            return [msgspec.json.encode({"method": "pong"} | common)]
        params = request.get("params")
        if method not in {"subscribe", "unsubscribe"} or not isinstance(params, dict):
            return [msgspec.json.encode({"error": "Unsupported method", "method": method, "success": False} | common)]
        return list(self._subscriptions(str(method), params, common))

    def _times(self, time_in: str) -> dict[str, Any]:
        return {"time_in": time_in, "time_out": instant_text(self._desk.now_us())}

    def _subscriptions(self, method: str, params: dict[str, Any], common: dict[str, Any]) -> Iterable[bytes]:
        channel = str(params.get("channel"))
        wants_snapshot = bool(params.get("snapshot", True))
        for name in params.get("symbol") or []:
            refusal = self._refusal(channel, str(name))
            if refusal:
                body = {"error": refusal, "method": method, "success": False, "symbol": name}
                yield msgspec.json.encode(body | common)
                continue
            symbol = self._by_name[name]
            result: dict[str, Any] = {"channel": channel, "symbol": name}
            if method == "subscribe":
                result = {"channel": channel, "snapshot": wants_snapshot, "symbol": name}
            yield msgspec.json.encode({"method": method, "result": result, "success": True} | common)
            yield from self._change(method, channel, symbol, wants_snapshot=wants_snapshot)

    def _refusal(self, channel: str, name: str) -> str | None:
        if channel not in _CHANNELS:
            return f"Unsupported channel {channel}"
        return None if name in self._by_name else f"Currency pair not supported {name}"

    def _change(self, method: str, channel: str, symbol: VenueSymbol, *, wants_snapshot: bool) -> Iterable[bytes]:
        stream = kraken.stream_name(kraken.V2, channel, symbol)
        if method == "unsubscribe":
            self.streams -= {stream}
            return
        self.streams |= {stream}
        if not wants_snapshot:
            return
        if channel == kraken.TRADE:
            recent = self._desk.recent(symbol, kraken.SNAPSHOT_TRADES)
            if recent:
                yield kraken.snapshot_v2(symbol, recent)
        else:
            latest = self._desk.latest(symbol)
            if latest:
                yield kraken.ticker_v2(symbol, *latest, "snapshot")

    def heartbeat(self) -> bytes | None:
        """Sent to whoever subscribed to something."""
        return kraken.HEARTBEAT_V2 if self.streams else None

    @property
    def markets(self) -> set[str]:
        """By the names of its streams."""
        return _markets(self.streams, self._desk)

    def farewell(self) -> list[bytes]:
        """The venue's status says that it is about to go."""
        return [_FAREWELL_V2]

    def messages(self, frames: Sequence[Frame]) -> list[bytes]:
        """Trades of one pair that follow each other share a message."""
        return kraken.joined(frames)


class KrakenV1Session:
    """WebSocket v1.

    Args:
        desk: the world.
    """

    venue = "kraken"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_name = {kraken.old_name(symbol): symbol for symbol in desk.symbols(self.venue)}
        self.streams: frozenset[str] = frozenset()

    def greeting(self) -> list[bytes]:
        """The venue's status."""
        status = {"connectionID": next(_connections), "event": "systemStatus", "status": "online", "version": "1.9.6"}
        return [msgspec.json.encode(status)]

    def on_text(self, payload: bytes) -> list[bytes]:
        """subscribe, unsubscribe and ping."""
        try:
            request = msgspec.json.decode(payload, type=dict[str, Any])
        except msgspec.DecodeError:
            return [b'{"errorMessage":"Malformed request","event":"error"}']
        event = request.get("event")
        common = {"reqid": request["reqid"]} if "reqid" in request else {}
        if event == "ping":
            return [msgspec.json.encode({"event": "pong"} | common)]
        subscription = request.get("subscription")
        if event not in {"subscribe", "unsubscribe"} or not isinstance(subscription, dict):
            return [msgspec.json.encode({"errorMessage": "Unsupported event", "event": "error"} | common)]
        channel = str(subscription.get("name"))
        pairs = [str(name) for name in request.get("pair") or []]
        return [msgspec.json.encode(self._change(str(event), channel, pair) | common) for pair in pairs]

    def _change(self, event: str, channel: str, pair: str) -> dict[str, Any]:
        symbol = self._by_name.get(pair)
        subscription = {"name": channel}
        if symbol is None or channel not in _CHANNELS:
            message = f"Currency pair not supported {pair}" if symbol is None else "Subscription name invalid"
            return {
                "errorMessage": message,
                "event": "subscriptionStatus",
                "pair": pair,
                "status": "error",
                "subscription": subscription,
            }
        stream = {kraken.stream_name(kraken.V1, channel, symbol)}
        self.streams = self.streams | stream if event == "subscribe" else self.streams - stream
        return {
            "channelID": kraken.channel_id(symbol, channel),
            "channelName": channel,
            "event": "subscriptionStatus",
            "pair": pair,
            "status": f"{event}d",
            "subscription": subscription,
        }

    def heartbeat(self) -> bytes | None:
        """Sent to whoever subscribed to something."""
        return kraken.HEARTBEAT_V1 if self.streams else None

    @property
    def markets(self) -> set[str]:
        """By the names of its streams."""
        return _markets(self.streams, self._desk)

    def farewell(self) -> list[bytes]:
        """The venue's status says that it is about to go."""
        return [_FAREWELL_V1]

    def messages(self, frames: Sequence[Frame]) -> list[bytes]:
        """Trades of one pair that follow each other share a message."""
        return kraken.joined(frames)


def _markets(streams: frozenset[str], desk: Desk) -> set[str]:
    names = {stream.split("/", 2)[2] for stream in streams}
    return {symbol.market for symbol in desk.symbols("kraken") if symbol.name in names}
