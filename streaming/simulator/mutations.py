"""Frames made wrong on purpose: broken in a known way, or with their times moved.

Each broken form is named after the reason that a reader should refuse it for; a test holds the producers to it. A
suffix tells variants of one reason apart. What belongs here: bytes to bytes. When they are sent is in faults.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from streaming.simulator.venue import Frame, instant_text

Mutation = Callable[[bytes], bytes]

_MICROSECONDS_FROM = 10**14


def _halved(payload: bytes) -> bytes:
    return payload[: len(payload) // 2]


def _replaced(old: bytes, new: bytes) -> Mutation:
    return lambda payload: payload.replace(old, new, 1)


def _matched(pattern: bytes, new: bytes) -> Mutation:
    compiled = re.compile(pattern)
    return lambda payload: compiled.sub(new, payload, count=1)


BINANCE: dict[str, Mutation] = {
    "malformed_json": _halved,
    "not_utf8": _replaced(b'"e":"trade"', b'"e":"\xff\xfe"'),
    "wrong_type": _matched(rb'"p":"([0-9.]+)"', rb'"p":\1'),
    "bad_price": _matched(rb'"p":"[^"]*"', b'"p":"NaN"'),
    "bad_price_negative": _matched(rb'"p":"[^"]*"', b'"p":"-1.5"'),
    "bad_quantity": _replaced(b'"q":"', b'"q":"x'),
    "missing_field": _replaced(b'"t":', b'"tt":'),
    "unknown_symbol": _replaced(b'"s":"', b'"s":"ZZ'),
}
KRAKEN_V2: dict[str, Mutation] = {
    "malformed_json": _halved,
    "not_utf8": _matched(rb'"side":"[a-z]+"', b'"side":"\xff\xfe"'),
    "wrong_type": _matched(rb'"trade_id":([0-9]+)', rb'"trade_id":"\1"'),
    "bad_price": _matched(rb'"price":[0-9.]+', b'"price":0.0'),
    "bad_price_negative": _matched(rb'"price":[0-9.]+', b'"price":-1.5'),
    "bad_quantity": _matched(rb'"qty":[0-9.]+', b'"qty":-2.0'),
    "missing_field": _replaced(b'"trade_id":', b'"trade_idd":'),
    "unknown_symbol": _replaced(b'"symbol":"', b'"symbol":"ZZ'),
}
KRAKEN_V1: dict[str, Mutation] = {
    "malformed_json": _halved,
    "not_utf8": _replaced(b'"trade","', b'"trade","\xff'),
    "wrong_type": _matched(rb'\[\["([0-9.]+)"', rb"[[\1"),
    "bad_price": _matched(rb'\[\["[0-9.]+"', b'[["NaN"'),
    "bad_price_negative": _matched(rb'\[\["[0-9.]+"', b'[["-1.5"'),
    "bad_quantity": _matched(rb'(\[\["[0-9.]+",")', rb"\1x"),
    "unknown_symbol": _replaced(b'"trade","', b'"trade","ZZ'),
}


def broken(frame: Frame, number: int) -> Frame:
    """A copy of a frame, broken in the way whose turn it is."""
    ways = ways_to_break(frame)
    name = list(ways)[number % len(ways)]
    return frame._replace(payload=ways[name](frame.payload), injected=f"malformed:{name}")


def ways_to_break(frame: Frame) -> dict[str, Mutation]:
    """The ways that fit a frame's protocol."""
    if not frame.market.startswith("kraken:"):
        return BINANCE
    return KRAKEN_V1 if frame.payload.startswith(b"[") else KRAKEN_V2


def moved(frame: Frame, by_us: int) -> Frame:
    """The frame with its times moved."""
    if not frame.market.startswith("kraken:"):
        return frame._replace(payload=_binance_moved(frame.payload, by_us))
    if frame.payload.startswith(b"["):
        return frame._replace(payload=_v1_moved(frame.payload, by_us))
    return frame._replace(payload=_v2_moved(frame.payload, by_us))


def _binance_moved(payload: bytes, by_us: int) -> bytes:
    def shift(match: re.Match[bytes]) -> bytes:
        time = int(match[2])
        return match[1] + b"%d" % (time + (by_us if time >= _MICROSECONDS_FROM else by_us // 1_000))

    return re.sub(rb'("[ET]":)([0-9]+)', shift, payload)


def _v2_moved(payload: bytes, by_us: int) -> bytes:
    def shift(match: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(match[2].decode())
        return match[1] + instant_text(round(moment.timestamp() * 1e6) + by_us).encode()

    return re.sub(rb'("timestamp":")([0-9T:.Z-]+)', shift, payload)


def _v1_moved(payload: bytes, by_us: int) -> bytes:
    message = msgspec.json.decode(payload)
    for trade in message[1]:
        whole, _, fraction = trade[2].partition(".")
        time_us = int(whole) * 1_000_000 + int(fraction.ljust(6, "0")[:6]) + by_us
        trade[2] = f"{time_us // 1_000_000}.{time_us % 1_000_000:06d}"
    return msgspec.json.encode(message)
