"""What Binance's protocol looks like on the wire, seen from the venue: trades, frames, REST bodies.

Field order and types are those of recorded frames; a test holds them to it. No market is made here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from streaming.clock import Anchors

E8 = 100_000_000
"""Prices and quantities are integers of 1e-8, so that no float is printed."""


class VenueSymbol(NamedTuple):
    """A market as the venue lists it; tick and step are the least price and quantity, in 1e-8."""

    base: str
    quote: str
    tick_e8: int = 1_000_000
    step_e8: int = 1_000

    @property
    def name(self) -> str:
        """The venue's spelling: BTCUSDT."""
        return self.base + self.quote

    @property
    def market(self) -> str:
        """Our spelling with the venue: binance:BTC-USDT."""
        return f"binance:{self.base}-{self.quote}"

    @property
    def trade_stream(self) -> str:
        """Name of its trade stream: btcusdt@trade."""
        return f"{self.name.lower()}@trade"


class VenueTrade(NamedTuple):
    """One trade; time in milliseconds, price and quantity in 1e-8."""

    trade_id: int
    time_ms: int
    price_e8: int
    quantity_e8: int
    buyer_is_maker: bool


class Frame(NamedTuple):
    """One WebSocket message. `injected` names the fault that made it; market and id are those of its trade."""

    stream: str
    market: str
    trade_id: int
    payload: bytes
    injected: str = ""


class Backing(Protocol):
    """What stands behind the sockets."""

    @property
    def symbols(self) -> list[VenueSymbol]:
        """Markets on offer."""

    @property
    def anchors(self) -> Anchors:
        """The platform clock."""

    @property
    def is_behind(self) -> bool:
        """Whether more is due than the last call of `due` gave."""

    @property
    def has_ended(self) -> bool:
        """Whether the source has no more."""

    @property
    def position(self) -> int | None:
        """Where another run can go on, if that must be remembered."""

    def begin(self) -> None:
        """A client has subscribed; its clock must run before the first frame leaves."""

    def due(self, streams: frozenset[str]) -> list[Frame]:
        """Frames of the wanted streams whose time has come since the last call."""

    def skip(self) -> None:
        """Let what is due pass, since nobody listens."""

    def trades_from(self, symbol: VenueSymbol, from_id: int | None, limit: int) -> list[VenueTrade]:
        """Up to `limit` trades from `from_id` on in order of id, or the latest ones; only what has happened."""


def decimal_text(value_e8: int) -> str:
    """An integer of 1e-8 as the venue prints it, with eight digits behind the point."""
    return f"{value_e8 // E8}.{value_e8 % E8:08d}"


def trade_frame(symbol: VenueSymbol, trade: VenueTrade) -> Frame:
    """The combined-stream frame of a trade; the event leaves the venue 0 to 2 ms after the trade, as recorded."""
    event_ms = trade.time_ms + trade.trade_id % 3
    maker = "true" if trade.buyer_is_maker else "false"
    payload = (
        f'{{"stream":"{symbol.trade_stream}","data":{{"e":"trade","E":{event_ms},"s":"{symbol.name}",'
        f'"t":{trade.trade_id},"p":"{decimal_text(trade.price_e8)}","q":"{decimal_text(trade.quantity_e8)}",'
        f'"T":{trade.time_ms},"m":{maker},"M":true}}}}'
    )
    return Frame(symbol.trade_stream, symbol.market, trade.trade_id, payload.encode())


def rest_trades(trades: Iterable[VenueTrade]) -> list[dict[str, Any]]:
    """The body of `/api/v3/historicalTrades`."""
    return [
        {
            "id": trade.trade_id,
            "price": decimal_text(trade.price_e8),
            "qty": decimal_text(trade.quantity_e8),
            "quoteQty": decimal_text(trade.price_e8 * trade.quantity_e8 // E8),
            "time": trade.time_ms,
            "isBuyerMaker": trade.buyer_is_maker,
            "isBestMatch": True,
        }
        for trade in trades
    ]


def exchange_info(symbols: Iterable[VenueSymbol], now_ms: int) -> dict[str, Any]:
    """The body of `/api/v3/exchangeInfo`, with the fields that clients read."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        ],
        "exchangeFilters": [],
        "symbols": [_symbol_info(symbol) for symbol in symbols],
    }


def _symbol_info(symbol: VenueSymbol) -> dict[str, Any]:
    return {
        "symbol": symbol.name,
        "status": "TRADING",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": decimal_text(symbol.tick_e8)},
            {"filterType": "LOT_SIZE", "stepSize": decimal_text(symbol.step_e8)},
        ],
        "permissions": ["SPOT"],
    }
