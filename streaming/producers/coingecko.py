"""CoinGecko's `/coins/markets` and `/coins/{id}/market_chart`: wire structs and parsing. Pure; see coingecko_feed.py.

Numbers are JSON numbers, ints or floats as it falls, and many fields are null. Rows are passed on as they are, the
worthless token that is ranked first too: bronze keeps what a source says, and silver judges it. What cannot be a quote
at all (no price, not a finite positive number, no ticker) is rejected, and so is a coin whose ticker is another coin's:
tickers are not unique there (two coins of the recorded lists are USDP), and BTC-USD must be bitcoin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation

import msgspec

from crypto_intel.contracts.events import FUTURE_TOLERANCE_S, Quote
from streaming.errors import RejectedInput

VENUE = "coingecko"

COINS: dict[str, str] = {
    "bitcoin": "BTC",
    "ethereum": "ETH",
    "solana": "SOL",
    "ripple": "XRP",
    "binancecoin": "BNB",
    "dogecoin": "DOGE",
    "cardano": "ADA",
    "litecoin": "LTC",
    "polkadot": "DOT",
    "avalanche-2": "AVAX",
}
"""CoinGecko's ids of the tracked coins and their tickers. Tickers are not unique there, ids are."""

_TICKER = re.compile(r"^[A-Z0-9]{1,15}$")
_PLACES = Decimal(1).scaleb(-18)
_DIGITS = 20  # before the point, as many as a decimal(38,18) has
_EXACT = Context(prec=64)


class WireMarket(msgspec.Struct, frozen=True):
    """The fields of a row that a quote needs; numbers as decimals, so that no digit is lost on the way."""

    id: str
    symbol: str
    current_price: Decimal | None
    last_updated: str | None
    market_cap: Decimal | None = None
    total_volume: Decimal | None = None
    price_change_percentage_24h: Decimal | None = None


class WireChart(msgspec.Struct, frozen=True):
    """A market chart: pairs of milliseconds and value."""

    prices: list[tuple[int, Decimal | None]]
    market_caps: list[tuple[int, Decimal | None]] = []
    total_volumes: list[tuple[int, Decimal | None]] = []


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(WireMarket)
_chart = msgspec.json.Decoder(WireChart)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)


class Tickers:
    """Which coin each ticker means: a tracked coin its own, any other the first coin that came with it.

    Bounded by the number of coins that the source lists. Lists are by capitalisation, so the first is the greatest.

    Args:
        tracked: tickers of the tracked coins by their ids.
    """

    def __init__(self, tracked: Mapping[str, str] = COINS) -> None:
        self._owners = {ticker: coin for coin, ticker in tracked.items()}

    def claim(self, coin: str, symbol: str) -> str:
        """The ticker of a coin.

        Raises:
            RejectedInput: unknown_symbol, it is none of ours; ambiguous_symbol, it is another coin's.
        """
        ticker = symbol.strip().upper()
        if not _TICKER.match(ticker):
            raise RejectedInput("unknown_symbol", f"{coin[:80]} has no ticker of ours")
        owner = self._owners.setdefault(ticker, coin)
        if owner != coin:
            raise RejectedInput("ambiguous_symbol", f"{ticker} is {owner[:80]}, not {coin[:80]}")
        return ticker


def parse_rows(body: bytes) -> list[bytes]:
    """The rows of a `/coins/markets` body, each as its JSON.

    Raises:
        RejectedInput: malformed_json, or wrong_type when it is no list.
    """
    try:
        return [bytes(row) for row in _rows.decode(body)]
    except msgspec.ValidationError as error:
        raise RejectedInput("wrong_type", str(error)[:200]) from error
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error


def parse_market(raw: bytes, received_at: int, tickers: Tickers, currency: str = "USD") -> Quote:
    """One row as our event.

    Args:
        raw: its JSON.
        received_at: platform time in microseconds.
        tickers: of the rows before.
        currency: that was asked for; the body does not tell.

    Raises:
        RejectedInput: malformed_json, missing_field, wrong_type, unknown_symbol, ambiguous_symbol, bad_price,
            bad_time or future_time.
    """
    row = _decode(raw)
    if row.current_price is None or row.last_updated is None:
        raise RejectedInput("missing_field", "current_price" if row.current_price is None else "last_updated")
    price, event_time = _price(row.current_price), _event_time(row.last_updated, received_at)
    return Quote(
        venue=VENUE,
        symbol=f"{tickers.claim(row.id, row.symbol)}-{currency}",  # last: what is no quote claims no ticker
        price=price,
        event_time=event_time,
        received_at=received_at,
        volume_24h=amount(row.total_volume),
        market_cap_usd=amount(row.market_cap) if currency == "USD" else None,
        change_24h_pct=_signed(row.price_change_percentage_24h),
    )


def _decode(raw: bytes) -> WireMarket:
    try:
        return _row.decode(raw)
    except msgspec.ValidationError as error:
        is_absent = "missing required field" in str(error)
        raise RejectedInput("missing_field" if is_absent else "wrong_type", str(error)[:200]) from error
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error


def _price(value: Decimal) -> str:
    text = amount(value)
    if text is None or Decimal(text) == 0:
        raise RejectedInput("bad_price", str(value)[:60])
    return text


def amount(value: Decimal | None) -> str | None:
    """A number that is not negative as plain text with at most 18 digits behind the point; None if it is none."""
    return None if value is None or not value.is_finite() or value < 0 else _signed(value)


def _signed(value: Decimal | None) -> str | None:
    if value is None or not value.is_finite() or value.adjusted() >= _DIGITS:  # without arithmetic: 1e999999999
        return None
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < _PLACES.adjusted():
        value = value.quantize(_PLACES, context=_EXACT)
    return f"{value:f}" if value else "0"


def _event_time(text: str, received_at: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        event_time = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    except (ValueError, OverflowError) as error:
        raise RejectedInput("bad_time", f"last_updated {text[:40]!r}") from error
    return _checked(event_time, received_at)


def _checked(event_time: int, received_at: int) -> int:
    if event_time <= 0:
        raise RejectedInput("bad_time", f"last updated {event_time}")
    if event_time > received_at + FUTURE_TOLERANCE_S * 1_000_000:
        raise RejectedInput("future_time", f"updated {(event_time - received_at) // 1_000_000} s after it came")
    return event_time


def parse_chart(body: bytes, symbol: str, received_at: int) -> Iterator[Quote | RejectedInput]:
    """The points of a `/coins/{id}/market_chart` body, in its order; a point that is no quote as the reason why.

    Args:
        body: as it was received.
        symbol: BASE-QUOTE of the coin and currency asked for.
        received_at: platform time in microseconds.

    Raises:
        RejectedInput: malformed_json or wrong_type.
    """
    try:
        chart = _chart.decode(body)
    except msgspec.ValidationError as error:
        raise RejectedInput("wrong_type", str(error)[:200]) from error
    except _UNREADABLE as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    caps = dict(chart.market_caps) if symbol.endswith("-USD") else {}
    volumes = dict(chart.total_volumes)
    for at_ms, price in chart.prices:
        yield _point(symbol, received_at, at_ms, price, {"cap": caps.get(at_ms), "volume": volumes.get(at_ms)})


def _point(
    symbol: str, received_at: int, at_ms: int, price: Decimal | None, more: Mapping[str, Decimal | None]
) -> Quote | RejectedInput:
    try:
        if price is None:
            raise RejectedInput("missing_field", "price")
        return Quote(
            venue=VENUE,
            symbol=symbol,
            price=_price(price),
            event_time=_checked(at_ms * 1000, received_at),
            received_at=received_at,
            volume_24h=amount(more["volume"]),
            market_cap_usd=amount(more["cap"]),
        )
    except RejectedInput as error:
        return error
