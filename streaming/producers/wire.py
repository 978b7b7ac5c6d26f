"""What the parsers of venues share: text, decimals, times, repeated keys; each refusal with its reason.

Pure. What a frame means belongs to the venue's own module.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S
from streaming.errors import RejectedInput

MAX_FRAME_BYTES = 1_048_576  # a trade frame has 170; Kraken's snapshots of 50 trades have 8,000
MAX_INT64 = 2**63 - 1
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what they should be."""

Int64 = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]

_EARLIEST_US = 1_230_768_000_000_000  # 2009: an earlier time means another unit
_MICROSECONDS_FROM = 100_000_000_000_000  # as milliseconds this is the year 5138, so it is microseconds
# DECIMAL(38,18) of the lake; no exponent, no sign, and a NaN does not fit.
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,18})?", re.ASCII)
_ZERO = re.compile(r"[0.]+", re.ASCII)
_WITH_EXPONENT = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,18})?[eE][+-]?[0-9]{1,2}", re.ASCII)
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def check_text(raw: bytes) -> None:
    """Refuse what is too long or no UTF-8.

    Raises:
        RejectedInput: too_large, not_utf8.
    """
    if len(raw) > MAX_FRAME_BYTES:
        raise RejectedInput("too_large", f"{len(raw)} bytes")
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise RejectedInput("not_utf8", f"byte {error.start}") from error


def any_json(raw: bytes) -> Any:
    """The document, whatever it is.

    Raises:
        RejectedInput: malformed_json.
    """
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error


def refuse_repeated_keys(raw: bytes, keys: int) -> None:
    """Refuse an object that says a thing twice: which of the two holds is anyone's guess.

    Args:
        raw: JSON that was decoded already.
        keys: how many keys it has if each stands there once, as far as decoding told. As many keys as required fields
            leave no room for a repeated one, so the usual frame is only counted through.

    Raises:
        RejectedInput: repeated_key.
    """
    if raw.count(b'":') == keys:
        return
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise RejectedInput("repeated_key", ", ".join(name[:40] for name, count in counts.items() if count > 1)[:200])
    return found


def check_decimal(reason: str, text: str) -> None:
    """Refuse what is no positive decimal that the lake holds exactly."""
    if not _DECIMAL.fullmatch(text) or _ZERO.fullmatch(text):
        raise RejectedInput(reason, f"{text[:60]!r} is not a positive decimal")


def decimal_or_none(reason: str, text: str) -> str | None:
    """A decimal that may be 0, which then says nothing."""
    if _ZERO.fullmatch(text):
        return None
    check_decimal(reason, text)
    return text


def number_text(reason: str, raw: msgspec.Raw | bytes) -> str:
    """The literal text of a JSON number, never through a float; an exponent is written out.

    Raises:
        RejectedInput: wrong_type if it is no number, else `reason` if it is none that the lake holds exactly.
    """
    text = bytes(raw).decode("ascii", "replace")
    unsigned = text.removeprefix("-")
    if _DECIMAL.fullmatch(unsigned):
        return text
    if _WITH_EXPONENT.fullmatch(text):
        written_out = format(Decimal(text), "f")
        if _DECIMAL.fullmatch(written_out.removeprefix("-")):
            return written_out
    elif not unsigned[:1].isdigit():
        raise RejectedInput("wrong_type", f"{text[:60]} is no number")
    raise RejectedInput(reason, f"{text[:60]} is not held exactly")


def event_time_us(wire_time: int, received_at: int) -> int:
    """Microseconds of a time in ms or µs, checked against the time of receipt.

    Raises:
        RejectedInput: bad_time, future_time.
    """
    time_us = wire_time if wire_time >= _MICROSECONDS_FROM else wire_time * 1000
    return check_time(time_us, received_at)


def check_time(time_us: int, received_at: int) -> int:
    """The time itself, if it can be one.

    Raises:
        RejectedInput: bad_time, future_time.
    """
    if time_us < _EARLIEST_US:
        raise RejectedInput("bad_time", f"{time_us} µs is no time of a market")
    if time_us > received_at + FUTURE_TOLERANCE_S * 1_000_000:
        raise RejectedInput("future_time", f"{(time_us - received_at) / 1e6:.1f} s after its receipt")
    return time_us


def rfc3339_us(text: str) -> int:
    """Microseconds of a time such as 2023-09-25T07:49:37.708706Z; finer digits are cut.

    Raises:
        RejectedInput: bad_time.
    """
    if _RFC3339.fullmatch(text):
        try:
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
        except ValueError:
            pass
    raise RejectedInput("bad_time", f"{text[:40]!r} is no RFC 3339 time in UTC")


def known_symbol(name: str, known_symbols: Mapping[str, str]) -> str:
    """Our symbol of a venue's spelling.

    Raises:
        RejectedInput: unknown_symbol.
    """
    symbol = known_symbols.get(name)
    if symbol is None:
        raise RejectedInput("unknown_symbol", name[:40])
    return symbol


def data_fault(data: dict[str, Any], types: dict[str, tuple[type, ...]], where: str = "data") -> RejectedInput:
    """What is wrong with an object that did not decode: the first field that is absent or of another type."""
    for name, expected in types.items():
        if name not in data:
            return RejectedInput("missing_field", f"{where}.{name}")
        if type(data[name]) not in expected:  # bool is an int to isinstance
            return RejectedInput("wrong_type", f"{where}.{name} is {type(data[name]).__name__}")
    return RejectedInput("wrong_type", where)
