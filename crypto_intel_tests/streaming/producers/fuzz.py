"""Frames that are broken in every way that we could think of, each with its reason, and any JSON at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
"""Any JSON, small; floats may be what JSON has no word for."""

DAY_US = 86_400_000_000
BIG = 5 * 1024 * 1024


class Broken(NamedTuple):
    """A payload, and why it cannot be used."""

    payload: bytes
    reason: str


class Venue(NamedTuple):
    """How a venue writes a trade: its good frame by id and time, and the names of what can be broken."""

    frame: Callable[[int, int], bytes]
    trade_id: str
    price: str
    quantity: str
    time: str
    symbol: str
    writes_numbers: bool


def binance_frame(trade_id: int, time_us: int) -> bytes:
    """A trade of BTC-USDT."""
    return (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{time_us // 1000},"s":"BTCUSDT","t":{trade_id},'
        f'"p":"61837.63000000","q":"0.02000000","T":{time_us // 1000},"m":true,"M":true}}}}'
    ).encode()


def kraken_frame(trade_id: int, time_us: int) -> bytes:
    """A trade of BTC-USD."""
    seconds, micros = divmod(time_us, 1_000_000)
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}"
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","side":"buy","price":61837.63,"qty":0.02,'
        f'"ord_type":"market","trade_id":{trade_id},"timestamp":"2024-08-09T{clock}Z"}}]}}'
    ).encode()


VENUES = {
    "binance": Venue(binance_frame, "t", "p", "q", "T", "s", writes_numbers=False),
    "kraken": Venue(kraken_frame, "trade_id", "price", "qty", "timestamp", "symbol", writes_numbers=True),
}


def broken_frames(name: str, count: int, time_us: int, seed: int = 7) -> Iterator[Broken]:
    """`count` broken frames of a venue, every kind of them in turn, in places drawn from the seed."""
    rng = Random(seed)
    kinds = [*_TEXTS, *_FIELDS]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        good = VENUES[name].frame(10**9 + number, time_us)
        yield kind(good, VENUES[name], rng)


def _cut(good: bytes, venue: Venue, rng: Random) -> Broken:
    return Broken(good[: rng.randrange(len(good))], "malformed_json")


def _trailing(good: bytes, venue: Venue, rng: Random) -> Broken:
    return Broken(good + b"}", "malformed_json")


def _not_utf8(good: bytes, venue: Venue, rng: Random) -> Broken:
    at = good.index(b'"', rng.randrange(len(good) // 2)) + 1
    return Broken(good[:at] + rng.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80"]) + good[at:], "not_utf8")


def _deep(good: bytes, venue: Venue, rng: Random) -> Broken:
    depth = rng.choice([5_000, 20_000])
    return Broken(b'{"a":' * depth + b"1" + b"}" * depth, "malformed_json")


def _large(good: bytes, venue: Venue, rng: Random) -> Broken:
    # Few are really large, so that the run is not about copying bytes.
    size = BIG if rng.random() < 0.02 else 1_048_577
    return Broken(good + b" " * (size - len(good)), "too_large")


def _empty(good: bytes, venue: Venue, rng: Random) -> Broken:
    return Broken(rng.choice([b"", b" ", b"\n"]), "malformed_json")


def _scalar(good: bytes, venue: Venue, rng: Random) -> Broken:
    return Broken(rng.choice([b"1", b'"trade"', b"true", b"null"]), "wrong_type")


def _venue_error(good: bytes, venue: Venue, rng: Random) -> Broken:
    return Broken(b'{"error":"no such thing","method":"subscribe","success":false}', "venue_error")


def _repeated(good: bytes, venue: Venue, rng: Random) -> Broken:
    key = rng.choice([venue.price, venue.quantity, venue.trade_id])
    start = good.index(f'"{key}":'.encode())
    end = min(good.index(b",", start), len(good))
    return Broken(good[:start] + good[start:end] + b"," + good[start:], "repeated_key")


def _with(field: str, value: Any, reason: str) -> Callable[[bytes, Venue, Random], Broken]:
    """The frame with another value of a field; `...` takes it away."""

    def make(good: bytes, venue: Venue, rng: Random) -> Broken:
        message = json.loads(good)
        data = message["data"] if isinstance(message["data"], dict) else message["data"][0]
        name = getattr(venue, field)
        if value is ...:
            del data[name]
        else:
            data[name] = value
        return Broken(json.dumps(message, separators=(",", ":")).encode(), reason)

    return make


def _literal(field: str, text: bytes, reasons: tuple[str, str]) -> Callable[[bytes, Venue, Random], Broken]:
    """The frame with another literal in place of a price or quantity; reasons: as text, as number."""

    def make(good: bytes, venue: Venue, rng: Random) -> Broken:
        start = good.index(f'"{getattr(venue, field)}":'.encode())
        start = good.index(b":", start) + 1
        end = good.index(b",", start)
        new = text if venue.writes_numbers else b'"' + text + b'"'
        return Broken(good[:start] + new + good[end:], reasons[venue.writes_numbers])

    return make


def _wrong_number_type(good: bytes, venue: Venue, rng: Random) -> Broken:
    """A number where text belongs, or text where a number does."""
    value: Any = "61837.63" if venue.writes_numbers else 61837.63
    return _with("price", value, "wrong_type")(good, venue, rng)


def _future(good: bytes, venue: Venue, rng: Random) -> Broken:
    message = json.loads(good)
    if venue.writes_numbers:
        message["data"][0]["timestamp"] = "2024-08-11T00:00:00.000000Z"
    else:
        message["data"]["T"] += rng.choice([2, 400]) * DAY_US // 1000
    return Broken(json.dumps(message).encode(), "future_time")


def _bad_time(good: bytes, venue: Venue, rng: Random) -> Broken:
    value: Any = "soon" if venue.writes_numbers else rng.choice([0, 5, 1_723_161_255, -1, 2**70])
    return _with("time", value, "bad_time")(good, venue, rng)


_Make = Callable[[bytes, Venue, Random], Broken]
_TEXTS: tuple[_Make, ...] = (
    _cut, _trailing, _not_utf8, _deep, _empty, _scalar, _venue_error, _repeated, _wrong_number_type, _future, _bad_time,
)  # fmt: skip
_FIELDS: tuple[_Make, ...] = (
    _large,
    *(_with(field, ..., "missing_field") for field in ("price", "quantity", "trade_id", "time", "symbol")),
    *(_with(field, None, "wrong_type") for field in ("price", "quantity", "trade_id", "time", "symbol")),
    *(_with(field, [1], "wrong_type") for field in ("price", "quantity", "trade_id", "symbol")),
    *(_with(field, True, "wrong_type") for field in ("price", "trade_id")),
    _with("trade_id", "12", "wrong_type"),
    _with("trade_id", 1.5, "wrong_type"),
    _with("trade_id", 2**70, "bad_id"),
    _with("trade_id", -5, "bad_id"),
    _with("symbol", "ZZZ", "unknown_symbol"),
    _literal("price", b"NaN", ("bad_price", "malformed_json")),
    _literal("price", b"Infinity", ("bad_price", "malformed_json")),
    _literal("price", b"-1.5", ("bad_price", "bad_price")),
    _literal("price", b"0.0", ("bad_price", "bad_price")),
    _literal("price", b"1e999", ("bad_price", "bad_price")),
    _literal("price", str(2**70).encode(), ("bad_price", "bad_price")),
    _literal("quantity", b"-2", ("bad_quantity", "bad_quantity")),
    _literal("quantity", b"0." + b"1" * 30, ("bad_quantity", "bad_quantity")),
)
