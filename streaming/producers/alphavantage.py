"""Alpha Vantage's `/query`: daily and intraday series, and its errors. Pure; who asks is in alphavantage_feed.py.

Errors come with HTTP 200, as an object with one of three keys. Fields are numbered strings ("1. open"; in older crypto
series "1a. open (CNY)" beside "1b. open (USD)"), the series' key names its interval, and times have no zone of their
own: it stands in "Meta Data". A candle's quote is its close, and its time is when that was known: the candle's end, or
the last refresh while it is still open. Stamps are taken as starts; series of 2021 and before were stamped at the end,
which makes their quotes one interval late and never early.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S, Quote
from crypto_intel.contracts.symbols import Symbol
from streaming.errors import RejectedInput, RetryableError

VENUE = "alphavantage"

FUNCTIONS = {
    "stock-daily": "TIME_SERIES_DAILY",
    "stock-intraday": "TIME_SERIES_INTRADAY",
    "fx-daily": "FX_DAILY",
    "fx-intraday": "FX_INTRADAY",
    "crypto-daily": "DIGITAL_CURRENCY_DAILY",
    "crypto-intraday": "CRYPTO_INTRADAY",
    "rate": "CURRENCY_EXCHANGE_RATE",
}
"""The source's functions by our names of their kinds."""

_SERIES = re.compile(r"^(?:Time Series\b.*|(?:Weekly|Monthly)\b.*Time Series.*)$")
_MINUTES = re.compile(r"^(\d{1,2})min$")
_RATE_WORDS = re.compile(
    r"call frequency|rate limit|requests? per (?:second|minute|day)|calls per|spreading out", re.IGNORECASE
)
_PLAIN_DECIMAL = re.compile(r"^\d{1,20}(?:\.\d{1,18})?$")
_ERRORS = ("Error Message", "Information", "Note")
_FIELDS = ("open", "high", "low", "close", "volume")


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a series. Prices are decimal strings as the source has them, times microseconds since 1970 UTC.

    `known_at` is when its close could be known. `volume` is None for currencies.
    """

    symbol: str
    interval: str
    start: int
    known_at: int
    open: str
    high: str
    low: str
    close: str
    volume: str | None = None


class Series(msgspec.Struct, frozen=True):
    """A series in order of time, and why some of its rows cannot be used."""

    candles: list[Candle]
    rejected: list[tuple[bytes, RejectedInput]]


_object = msgspec.json.Decoder(dict[str, Any])


def parameters(kind: str, symbol: str, interval: str) -> dict[str, str]:
    """Parameters of `/query` for a kind of FUNCTIONS; a stock is quoted in its own currency and asked for by name."""
    base, _, quote = symbol.partition("-")
    family, _, pace = kind.partition("-")
    spelled = {
        "stock": {"symbol": base},
        "fx": {"from_symbol": base, "to_symbol": quote},
        "crypto": {"symbol": base, "market": quote},
        "rate": {"from_currency": base, "to_currency": quote},
    }
    return {"function": FUNCTIONS[kind], **spelled[family], **({"interval": interval} if pace == "intraday" else {})}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body that is no error.

    Raises:
        RetryableError: too many requests, in the source's words.
        RejectedInput: malformed_json, or venue_error with the source's words.
    """
    try:
        found = _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    for name in _ERRORS:
        if isinstance(words := found.get(name), str):
            if name == "Note" or _RATE_WORDS.search(words):
                raise RetryableError(f"{name}: {words[:200]}")
            raise RejectedInput("venue_error", f"{name}: {words[:200]}")
    return found


def parse_series(body: bytes, symbol: str, received_at: int) -> Series:
    """The candles of any of the series functions.

    Args:
        body: as it was received.
        symbol: BASE-QUOTE that was asked for; of a crypto series in two currencies, the quote's one is taken.
        received_at: platform time in microseconds.

    Raises:
        RetryableError: too many requests.
        RejectedInput: malformed_json, venue_error, missing_field (no series in it), wrong_type or bad_time (no zone).
    """
    found = parse_object(body)
    name = next((key for key in found if _SERIES.match(key)), None)
    if name is None:
        raise RejectedInput("missing_field", f"no series among {list(found)[:5]}"[:200])
    meta, rows = found.get("Meta Data"), found[name]
    if not isinstance(meta, dict) or not isinstance(rows, dict):
        raise RejectedInput("wrong_type", "Meta Data or series is no object")
    clock = _Clock.of(name, {_bare(key): str(value) for key, value in meta.items()})
    return _series(rows, Symbol(symbol), clock, received_at)


def _series(rows: Mapping[str, Any], symbol: Symbol, clock: _Clock, received_at: int) -> Series:
    candles: list[Candle] = []
    rejected: list[tuple[bytes, RejectedInput]] = []
    for stamp, row in rows.items():
        try:
            candles.append(_candle(stamp, row, symbol, clock, received_at))
        except RejectedInput as error:
            rejected.append((msgspec.json.encode({stamp: row}), error))
    return Series(sorted(candles, key=lambda candle: candle.start), rejected)


def _bare(key: str) -> str:
    """A key without its number: "1a. open (USD)" is "open (USD)"."""
    return key.partition(". ")[2] or key


class _Clock(msgspec.Struct, frozen=True):
    """What is needed to read the stamps of a series."""

    interval: str
    span: timedelta
    zone: ZoneInfo
    refreshed: datetime | None

    @classmethod
    def of(cls, name: str, meta: Mapping[str, str]) -> _Clock:
        interval = meta.get("Interval") or _interval_of(name)
        try:
            zone = ZoneInfo(meta["Time Zone"].strip())
        except (KeyError, ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise RejectedInput("bad_time", f"Time Zone {meta.get('Time Zone', '')[:40]!r}") from error
        refreshed = meta.get("Last Refreshed", "")
        return cls(interval, _span(interval), zone, _stamp(refreshed, zone) if ":" in refreshed else None)

    def times(self, stamp: str, received_at: int) -> tuple[int, int]:
        """Start of a candle and when its close was known, in microseconds."""
        start = _stamp(stamp, self.zone)
        try:  # daily candles end at midnight of their zone, whatever daylight saving does to the day
            end = (start.replace(tzinfo=None) + self.span).replace(tzinfo=self.zone)
        except OverflowError as error:
            raise RejectedInput("bad_time", stamp[:40]) from error
        known = min(end, self.refreshed) if self.refreshed and self.refreshed > start else end
        start_us, known_us = _micros(start), _micros(known)
        if start_us <= 0:
            raise RejectedInput("bad_time", stamp[:40])
        if start_us > received_at + FUTURE_TOLERANCE_S * 1_000_000:
            raise RejectedInput("future_time", stamp[:40])
        return start_us, min(known_us, received_at)


def _interval_of(name: str) -> str:
    inside = name.partition("(")[2].rstrip(")")
    if _MINUTES.match(inside):
        return inside
    for word in ("Daily", "Weekly", "Monthly"):
        if word in name:
            return word.lower()
    raise RejectedInput("missing_field", f"no interval in {name[:80]!r}")


def _span(interval: str) -> timedelta:
    if match := _MINUTES.match(interval):
        return timedelta(minutes=int(match.group(1)))
    # Weeks and months are stamped with their last trading day, so they end with it.
    if interval.lower() in {"daily", "weekly", "monthly"}:
        return timedelta(days=1)
    raise RejectedInput("wrong_type", f"interval {interval[:40]!r}")


def _stamp(text: str, zone: ZoneInfo) -> datetime:
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=zone)
    except ValueError as error:
        raise RejectedInput("bad_time", text[:40]) from error


def _micros(moment: datetime) -> int:
    try:
        return int(moment.astimezone(UTC).timestamp()) * 1_000_000
    except OverflowError as error:
        raise RejectedInput("bad_time", str(moment)[:40]) from error


def _candle(stamp: str, row: Any, symbol: Symbol, clock: _Clock, received_at: int) -> Candle:
    if not isinstance(row, dict):
        raise RejectedInput("wrong_type", "a row is no object")
    start, known_at = clock.times(stamp, received_at)
    figures = _figures({_bare(key): value for key, value in row.items()}, symbol.quote)
    volume = figures.pop("volume", None)
    if missing := {"open", "high", "low", "close"} - figures.keys():
        raise RejectedInput("missing_field", ", ".join(sorted(missing)))
    return Candle(
        symbol=str(symbol), interval=clock.interval, start=start, known_at=known_at, **_checked(figures), volume=volume
    )


def _figures(row: Mapping[str, Any], currency: str) -> dict[str, str]:
    """Prices and volume by plain names; where two currencies are told, those of `currency`."""
    figures: dict[str, str] = {}
    for name in _FIELDS:
        for spelled in (f"{name} ({currency})", name):
            if spelled in row:
                figures[name] = _number(name, row[spelled])
                break
    for spelled in (f"price ({currency})", "price"):  # crypto intraday of 2017: one price a stamp
        if spelled in row:
            figures |= dict.fromkeys(("open", "high", "low", "close"), _number("price", row[spelled]))
            break
    return figures


def _number(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RejectedInput("wrong_type", name)
    if not _PLAIN_DECIMAL.match(value):
        raise RejectedInput("bad_quantity" if name == "volume" else "bad_price", f"{name} {value[:60]!r}")
    return value


def _checked(prices: dict[str, str]) -> dict[str, str]:
    low, high = Decimal(prices["low"]), Decimal(prices["high"])
    if low <= 0 or not all(low <= Decimal(prices[name]) <= high for name in ("open", "close")):
        raise RejectedInput("bad_price", str(prices)[:200])
    return prices


def quote_of(candle: Candle, received_at: int) -> Quote:
    """A candle's close as our event, at the time at which it was known."""
    return Quote(
        venue=VENUE,
        symbol=candle.symbol,
        price=candle.close,
        event_time=candle.known_at,
        received_at=received_at,
        volume_24h_base=candle.volume if candle.interval.lower() == "daily" else None,
    )


def parse_rate(body: bytes, received_at: int) -> Quote:
    """A `CURRENCY_EXCHANGE_RATE` as our event; bid and ask where they are told.

    Raises:
        RetryableError: too many requests.
        RejectedInput: malformed_json, venue_error, missing_field, wrong_type, unknown_symbol, bad_price, bad_time or
            future_time.
    """
    rate = parse_object(body).get("Realtime Currency Exchange Rate")
    if not isinstance(rate, dict):
        raise RejectedInput("missing_field", "Realtime Currency Exchange Rate")
    told = {_bare(key): value for key, value in rate.items()}
    needed = ("From_Currency Code", "To_Currency Code", "Exchange Rate", "Last Refreshed", "Time Zone")
    if absent := [name for name in needed if not isinstance(told.get(name), str)]:
        raise RejectedInput("missing_field", ", ".join(absent))
    clock = _Clock.of("(1min)", {"Time Zone": told["Time Zone"]})
    event_time, _ = clock.times(told["Last Refreshed"], received_at)
    return Quote(
        venue=VENUE,
        symbol=_pair(told["From_Currency Code"], told["To_Currency Code"]),
        price=_positive(told["Exchange Rate"]),
        event_time=event_time,
        received_at=received_at,
        bid=_optional(told.get("Bid Price")),
        ask=_optional(told.get("Ask Price")),
    )


def _pair(base: str, quote: str) -> str:
    try:
        return str(Symbol(f"{base}-{quote}"))
    except ValueError as error:
        raise RejectedInput("unknown_symbol", f"{base[:20]}-{quote[:20]}") from error


def _positive(text: str) -> str:
    number = _number("price", text)
    try:
        if Decimal(number) > 0:
            return number
    except InvalidOperation as error:
        raise RejectedInput("bad_price", text[:60]) from error
    raise RejectedInput("bad_price", text[:60])


def _optional(value: Any) -> str | None:
    return value if isinstance(value, str) and _PLAIN_DECIMAL.match(value) else None  # "-" where none is told
