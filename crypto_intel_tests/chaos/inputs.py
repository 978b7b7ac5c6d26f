"""Records that no feed of ours would send: spoilt ones with the reason they must get, drifted, late, future ones.

Each spoilt value is one of a kind, so that the ledger of acknowledged records says where each of them stands.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from crypto_intel.contracts import events
from crypto_intel.contracts.events import Trade
from crypto_intel_tests.chaos.load import MINUTE_US, START_US, Load, Record

MARKET = "binance:BTC-USDT"
DAY_US = 24 * 60 * MINUTE_US

Event = dict[str, Any]


def _event(number: int) -> Event:
    # A good trade long before the load, should it be taken for one.
    return {
        **{"kind": "trade", "venue": "binance", "symbol": "BTC-USDT", "trade_id": number, "price": "1.5"},
        **{"quantity": "2", "taker_side": "buy", "event_time": START_US - DAY_US, "received_at": START_US - DAY_US},
    }


def _with(**changed: Any) -> Callable[[int], bytes]:
    return lambda number: json.dumps({**_event(number), **changed}).encode()


def _without(name: str) -> Callable[[int], bytes]:
    return lambda number: json.dumps({key: value for key, value in _event(number).items() if key != name}).encode()


def _mark(number: int) -> bytes:
    return str(number).encode()


SPOILT: dict[str, tuple[Callable[[int], bytes], str]] = {
    "not UTF-8": (lambda n: json.dumps({**_event(n), "symbol": "#"}).encode().replace(b"#", b"\xff\xfe"), "not_utf8"),
    "cut short": (lambda n: json.dumps(_event(n)).encode()[: 40 + n % 60] + b"/" + _mark(n), "malformed_json"),
    "not JSON": (lambda n: b"<html>" + _mark(n), "malformed_json"),
    "5,000 deep": (lambda n: b"[" * 5000 + _mark(n) + b"]" * 5000, ""),
    "900 kB": (lambda n: b'{"kind":"trade","pad":"' + b"x" * 900_000 + b'","n":' + _mark(n) + b"}", "missing_field"),
    "NaN": (lambda n: json.dumps({**_event(n), "event_time": float("nan")}).encode(), "malformed_json"),
    "number alone": (_mark, "wrong_type"),
    "text alone": (lambda n: b'"' + _mark(n) + b'"', "wrong_type"),
    "unknown kind": (_with(kind="trades"), "unknown_kind"),
    "no kind": (_without("kind"), "unknown_kind"),
    "price is NaN": (_with(price="NaN"), "bad_price"),
    "price is infinite": (_with(price="Infinity"), "bad_price"),
    "price below zero": (_with(price="-1"), "bad_price"),
    "price with an exponent": (_with(price="1e5"), "bad_price"),
    "price with 19 decimals": (_with(price="1.0000000000000000001"), "bad_price"),
    "price is null": (_with(price=None), "wrong_type"),
    "price is a number": (_with(price=1.5), "wrong_type"),
    "price is a list": (_with(price=["1.5"]), "wrong_type"),
    "quantity is zero": (_with(quantity="0"), "bad_quantity"),
    "id of 2^70": (lambda n: json.dumps({**_event(n), "trade_id": 2**70 + n}).encode(), "wrong_type"),
    "unknown side": (_with(taker_side="bought"), "bad_side"),
    "unknown venue": (_with(venue="nowhere"), "unknown_venue"),
    "odd symbol": (_with(symbol="btc/usdt"), "unknown_symbol"),
    "time is zero": (_with(event_time=0), "bad_time"),
    "time is text": (_with(event_time="now"), "wrong_type"),
    "time beyond any": (_with(received_at=2**62), "bad_time"),
    "renamed field": (lambda n: _without("price")(n).replace(b'"quantity"', b'"px":"1","quantity"'), "missing_field"),
    "no quantity": (_without("quantity"), "missing_field"),
}
"""Kinds of spoilt values by name: what makes one, and its reason; empty where any will do."""


def spoilt(load: Load, count: int, seed: int = 7) -> Iterator[tuple[Record, str]]:
    """`count` spoilt records for any of the topics, and the reason of each."""
    draw = random.Random(seed)
    topics = [load.topics.trades, load.topics.quotes, load.topics.news]
    kinds = [kind for kind in SPOILT if kind != "900 kB"]
    for number in range(count):
        # A huge one in a thousand: each costs what a thousand others cost.
        kind = "900 kB" if number % 1000 == 500 else kinds[number % len(kinds)]
        make, reason = SPOILT[kind]
        yield Record(draw.choice(topics), MARKET, make(10_000_000 + number)), reason


def sprinkled(load: Load, count: int = 20) -> Load:
    """The same load with some spoilt records among the others."""
    step = len(load.records) // count
    for number, (record, _) in enumerate(spoilt(load, count)):
        load.records.insert(number * step, record)
    return load


def drifted(load: Load) -> Load:
    """The same load, its records as a newer producer would write them: more fields, nested ones too, other order."""
    changed = []
    for number, record in enumerate(load.records):
        value = json.loads(record.value)
        if number % 3 == 0:
            value = {"schema_version": 2, **value, "extra": {"nested": [1, {"deep": None}]}, "flags": ["new"]}
        elif number % 3 == 1:
            value = dict(reversed(value.items()))
        changed.append(
            Record(record.topic, record.key, json.dumps(value, indent=number % 2).encode(), record.partition)
        )
    load.records = changed
    return load


def late(load: Load, count: int) -> list[Record]:
    """Trades with ids of their own, of windows that were written long ago."""
    step_us = load.minutes * MINUTE_US // 2 // count
    times = [load.begin_us + number * step_us for number in range(count)]
    return [_trade(load, 100_000_000 + number, at_us, load.end_us) for number, at_us in enumerate(times)]


def future(load: Load, count: int) -> list[Record]:
    """Trades dated a day ahead of their receipt."""
    return [_trade(load, 200_000_000 + number, load.begin_us + DAY_US, load.begin_us) for number in range(count)]


def _trade(load: Load, trade_id: int, event_us: int, received_us: int) -> Record:
    trade: Trade = load.trade(MARKET, trade_id, 60_000.0, event_us, received_us)
    return Record(load.topics.trades, MARKET, events.encode(trade))
