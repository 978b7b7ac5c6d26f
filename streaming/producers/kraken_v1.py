"""Kraken's WebSocket v1: arrays `[channelID, payload, channelName, pair]`. Pure.

Trades of v1 have no number: their id is negative, minus a digest of what they are (see contracts/events.py), so that a
frame that is sent again gives the same ids. Gaps cannot be told from such ids. A ticker has no time of its own: its
time is that of its receipt.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from crypto_intel.contracts.events import Quote, Side, Trade
from streaming.errors import RejectedInput
from streaming.producers.venue import Ignored, Parsed
from streaming.producers.wire import (
    UNREADABLE,
    any_json,
    check_decimal,
    check_time,
    decimal_or_none,
    known_symbol,
    refuse_repeated_keys,
)

VENUE = "kraken"
_SECONDS = re.compile(r"([0-9]{9,11})(?:\.([0-9]{1,9}))?", re.ASCII)

WireTrade = tuple[str, str, str, str, str, str]
"""price, volume, time in seconds, side (b, s), order type (m, l), misc."""


class WireTicker(msgspec.Struct, frozen=True):
    """Payload of a ticker: best ask and bid, last trade, volumes (today, 24 hours)."""

    a: tuple[str, int, str]  # price, whole lots, lots
    b: tuple[str, int, str]
    c: tuple[str, str]
    v: tuple[str, str]


_trades = msgspec.json.Decoder(list[WireTrade])
_ticker = msgspec.json.Decoder(WireTicker)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def parse_array(raw: bytes, received_at: int, known_symbols: Mapping[str, str]) -> tuple[Parsed, ...]:
    """The events of an array frame, in order.

    Raises:
        RejectedInput: with one of the reasons malformed_json, wrong_type, repeated_key, unknown_symbol, bad_price,
            bad_quantity, bad_side, bad_time, future_time. One bad trade spoils the frame.
    """
    try:
        elements = _array.decode(raw)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    if len(elements) < 4:
        raise RejectedInput("wrong_type", f"an array of {len(elements)}")
    channel, pair = any_json(elements[-2]), any_json(elements[-1])
    if not isinstance(channel, str) or not isinstance(pair, str):
        raise RejectedInput("wrong_type", "channel or pair")
    try:
        if channel == "trade":
            return _parse_trades(elements[1], pair, received_at, known_symbols)
        if channel == "ticker":
            return (_parse_ticker(elements[1], pair, received_at, known_symbols),)
    except UNREADABLE as error:
        any_json(elements[1])
        raise RejectedInput("wrong_type", str(error)[:200]) from error
    return (Ignored(channel[:40]),)


def _parse_trades(
    payload: msgspec.Raw, pair: str, received_at: int, known_symbols: Mapping[str, str]
) -> tuple[Trade, ...]:
    wires = _trades.decode(payload)
    symbol = known_symbol(pair, known_symbols)
    return tuple(
        Trade(
            venue=VENUE,
            symbol=symbol,
            trade_id=trade_id,
            price=_positive("bad_price", price),
            quantity=_positive("bad_quantity", volume),
            taker_side=side_of(side),
            event_time=check_time(seconds_us(time), received_at),
            received_at=received_at,
        )
        for (price, volume, time, side, *_), trade_id in zip(wires, digests(wires), strict=True)
    )


def _positive(reason: str, text: str) -> str:
    check_decimal(reason, text)
    return text


def digests(trades: list[Any]) -> list[int]:
    """Ids of trades without a number, all negative; equal trades of a frame differ by their ordinal."""
    seen: Counter[tuple[str, ...]] = Counter()
    ids = []
    for price, volume, time, side, *_ in trades:
        what = (str(time), price, volume, side)
        text = "|".join((*what, str(seen[what])))
        seen[what] += 1
        digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2
        ids.append(-max(digest, 1))
    return ids


def seconds_us(text: str) -> int:
    """Microseconds of seconds with a fraction, exactly; finer digits are cut.

    Raises:
        RejectedInput: bad_time.
    """
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise RejectedInput("bad_time", f"{text[:40]!r} is no time in seconds")
    whole, fraction = found.groups()
    return int(whole) * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])


def side_of(letter: str) -> Side:
    """The taker's side of v1's and REST's letter.

    Raises:
        RejectedInput: bad_side.
    """
    if letter not in ("b", "s"):
        raise RejectedInput("bad_side", f"{letter!s:.40}")
    return "buy" if letter == "b" else "sell"


def _parse_ticker(payload: msgspec.Raw, pair: str, received_at: int, known_symbols: Mapping[str, str]) -> Quote:
    wire = _ticker.decode(payload)
    refuse_repeated_keys(bytes(payload), -1)
    return Quote(
        venue=VENUE,
        symbol=known_symbol(pair, known_symbols),
        price=_positive("bad_price", wire.c[0]),
        event_time=received_at,
        received_at=received_at,
        bid=decimal_or_none("bad_price", wire.b[0]),
        ask=decimal_or_none("bad_price", wire.a[0]),
        bid_quantity=decimal_or_none("bad_quantity", wire.b[2]),
        ask_quantity=decimal_or_none("bad_quantity", wire.a[2]),
        volume_24h_base=decimal_or_none("bad_quantity", wire.v[1]),
    )
