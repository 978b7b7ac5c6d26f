"""What Binance's protocol looks like on the wire, seen from the venue: streams, frames, REST bodies.

Field order and types are those of recorded frames; a test holds them to it. No market is made here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from streaming.simulator.klines import Kline
from streaming.simulator.venue import E8, Day, Frame, VenueSymbol, VenueTrade, best_prices, decimal_text

MICROSECONDS = "#us"
"""Ends the name of a stream whose times are microseconds; clients ask for it with timeUnit=MICROSECOND."""


def stream_name(symbol: VenueSymbol, kind: str) -> str:
    """The venue's name for a stream: btcusdt@trade."""
    return f"{symbol.name.lower()}@{kind}"


def trade_frames(symbol: VenueSymbol, trades: Iterable[VenueTrade], *, in_microseconds: bool = False) -> list[Frame]:
    """The combined-stream frames of trades; an event leaves the venue 0 to 2 ms after its trade, as recorded."""
    name, market = symbol.name, symbol.market
    stream = stream_name(symbol, "trade")
    key = stream + MICROSECONDS if in_microseconds else stream
    unit, delay = (1, 1_000) if in_microseconds else (1_000, 1)
    frames = []
    for trade_id, time_us, price, quantity, maker in trades:
        time = time_us // unit
        payload = (
            f'{{"stream":"{stream}","data":{{"e":"trade","E":{time + trade_id % 3 * delay},"s":"{name}","t":{trade_id},'
            f'"p":"{price // E8}.{price % E8:08d}","q":"{quantity // E8}.{quantity % E8:08d}",'
            f'"T":{time},"m":{"true" if maker else "false"},"M":true}}}}'
        )
        frames.append(Frame(key, market, trade_id, payload.encode(), time_us))
    return frames


def trade_frame(symbol: VenueSymbol, trade: VenueTrade) -> Frame:
    """The frame of one trade, in milliseconds."""
    return trade_frames(symbol, [trade])[0]


def agg_trade_frames(
    symbol: VenueSymbol, trades: Iterable[VenueTrade], *, in_microseconds: bool = False
) -> list[Frame]:
    """Aggregate trades; here each holds one trade, so that its id is a function of the trade's."""
    unit = 1 if in_microseconds else 1_000
    return [
        _event(
            symbol,
            "aggTrade",
            {
                "e": "aggTrade",
                "E": trade.time_us // unit,
                "s": symbol.name,
                "a": trade.trade_id,
                "p": decimal_text(trade.price_e8),
                "q": decimal_text(trade.quantity_e8),
                "f": trade.trade_id,
                "l": trade.trade_id,
                "T": trade.time_us // unit,
                "m": trade.buyer_is_maker,
                "M": True,
            },
            trade.time_us,
            in_microseconds=in_microseconds,
        )
        for trade in trades
    ]


def book_ticker_frame(symbol: VenueSymbol, trade: VenueTrade, *, in_microseconds: bool = False) -> Frame:
    """Best bid and ask after a trade; this stream has neither type nor time."""
    bid, ask = best_prices(symbol, trade)
    data = {
        "u": trade.trade_id,
        "s": symbol.name,
        "b": decimal_text(bid),
        "B": decimal_text(trade.quantity_e8),
        "a": decimal_text(ask),
        "A": decimal_text(2 * trade.quantity_e8),
    }
    return _event(symbol, "bookTicker", data, trade.time_us, in_microseconds=in_microseconds)


def ticker_frame(
    symbol: VenueSymbol, trade: VenueTrade, day: Day, now_us: int, *, in_microseconds: bool = False
) -> Frame:
    """The 24-hour ticker as a stream tells it, about once a second."""
    unit = 1 if in_microseconds else 1_000
    names = {"priceChange": "p", "priceChangePercent": "P", "weightedAvgPrice": "w", "prevClosePrice": "x"}
    names |= {"lastPrice": "c", "lastQty": "Q", "bidPrice": "b", "bidQty": "B", "askPrice": "a", "askQty": "A"}
    names |= {"openPrice": "o", "highPrice": "h", "lowPrice": "l", "volume": "v", "quoteVolume": "q"}
    names |= {"openTime": "O", "closeTime": "C", "firstId": "F", "lastId": "L", "count": "n"}
    facts = ticker(symbol, trade, day, now_us, unit=unit)
    data = {"e": "24hrTicker", "E": now_us // unit, "s": symbol.name} | {names[k]: facts[k] for k in names}
    return _event(symbol, "ticker", data, now_us, in_microseconds=in_microseconds)


def _event(symbol: VenueSymbol, kind: str, data: dict[str, Any], time_us: int, *, in_microseconds: bool) -> Frame:
    stream = stream_name(symbol, kind)
    key = stream + MICROSECONDS if in_microseconds else stream
    return Frame(key, symbol.market, 0, msgspec.json.encode({"stream": stream, "data": data}), time_us)


# --- REST ------------------------------------------------------------------------------------------------------------


def ticker(symbol: VenueSymbol, trade: VenueTrade, day: Day, now_us: int, *, unit: int = 1_000) -> dict[str, Any]:
    """The body of `/api/v3/ticker/24hr` for one symbol; `unit` is the microseconds in a unit of its times."""
    bid, ask = best_prices(symbol, trade)
    change = trade.price_e8 - day.open_e8
    sign = "-" if change < 0 else ""
    return {
        "symbol": symbol.name,
        "priceChange": sign + decimal_text(abs(change)),
        "priceChangePercent": f"{100 * change / day.open_e8:.3f}",
        "weightedAvgPrice": decimal_text(day.average_e8),
        "prevClosePrice": decimal_text(day.open_e8),
        "lastPrice": decimal_text(trade.price_e8),
        "lastQty": decimal_text(trade.quantity_e8),
        "bidPrice": decimal_text(bid),
        "bidQty": decimal_text(trade.quantity_e8),
        "askPrice": decimal_text(ask),
        "askQty": decimal_text(2 * trade.quantity_e8),
        "openPrice": decimal_text(day.open_e8),
        "highPrice": decimal_text(max(day.high_e8, trade.price_e8)),
        "lowPrice": decimal_text(min(day.low_e8, trade.price_e8)),
        "volume": decimal_text(day.volume_e8),
        "quoteVolume": decimal_text(day.volume_e8 * day.average_e8 // E8),
        "openTime": (now_us - 86_400_000_000) // unit,
        "closeTime": now_us // unit,
        "firstId": day.first_id,
        "lastId": trade.trade_id,
        "count": trade.trade_id - day.first_id + 1,
    }


def rest_trades(trades: Iterable[VenueTrade], *, unit: int = 1_000) -> list[dict[str, Any]]:
    """The body of `/api/v3/historicalTrades`; `unit` is the microseconds in a unit of its times."""
    return [
        {
            "id": trade.trade_id,
            "price": decimal_text(trade.price_e8),
            "qty": decimal_text(trade.quantity_e8),
            "quoteQty": decimal_text(trade.price_e8 * trade.quantity_e8 // E8),
            "time": trade.time_us // unit,
            "isBuyerMaker": trade.buyer_is_maker,
            "isBestMatch": True,
        }
        for trade in trades
    ]


def rest_agg_trades(trades: Iterable[VenueTrade], *, unit: int = 1_000) -> list[dict[str, Any]]:
    """The body of `/api/v3/aggTrades`."""
    return [
        {
            "a": trade.trade_id,
            "p": decimal_text(trade.price_e8),
            "q": decimal_text(trade.quantity_e8),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time_us // unit,
            "m": trade.buyer_is_maker,
            "M": True,
        }
        for trade in trades
    ]


def rest_klines(bars: Iterable[Kline], interval_us: int, *, unit: int = 1_000) -> list[list[Any]]:
    """The body of `/api/v3/klines`."""
    return [
        [
            bar.start_us // unit,
            decimal_text(bar.open_e8),
            decimal_text(bar.high_e8),
            decimal_text(bar.low_e8),
            decimal_text(bar.close_e8),
            decimal_text(bar.volume_e8),
            (bar.start_us + interval_us) // unit - 1,
            decimal_text(bar.quote_e8),
            bar.trades,
            decimal_text(bar.taker_base_e8),
            decimal_text(bar.taker_quote_e8),
            "0",
        ]
        for bar in bars
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
