"""What Kraken's protocol looks like on the wire, seen from the venue: WebSocket v2 and v1, REST bodies.

Field order and types are those of recorded and documented frames; tests hold them to it. Messages are written by hand
where numbers must be printed exactly. Conversations (who subscribed to what) are in kraken_sessions.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from streaming.simulator.venue import (
    Day,
    Frame,
    VenueSymbol,
    VenueTrade,
    best_prices,
    decimal_text,
    instant_text,
    number_text,
)

SNAPSHOT_TRADES = 50
V2, V1 = "v2", "v1"
TRADE, TICKER = "trade", "ticker"
HEARTBEAT_V2 = b'{"channel":"heartbeat"}'
HEARTBEAT_V1 = b'{"event":"heartbeat"}'

_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_PREFIXED = {"XBT", "XDG", "ETH", "XRP", "LTC"}  # assets that Kraken's REST writes with four letters
_PLAIN_PAIRS = {"XDG"}  # whose pair is not written so all the same
_UPDATE = b'{"channel":"trade","type":"update","data":['
_SNAPSHOT = b'{"channel":"trade","type":"snapshot","data":['
_END = b"]}"


def stream_name(version: str, channel: str, symbol: VenueSymbol) -> str:
    """Our name for a feed in the form of a version: v2/trade/BTC/USD."""
    return f"{version}/{channel}/{symbol.name}"


def old_name(symbol: VenueSymbol) -> str:
    """The pair as v1 writes it: XBT/USD."""
    return f"{_OLD_NAMES.get(symbol.base, symbol.base)}/{symbol.quote}"


def alternative_name(symbol: VenueSymbol) -> str:
    """The pair without a slash: XBTUSD."""
    return old_name(symbol).replace("/", "")


def rest_name(symbol: VenueSymbol) -> str:
    """The key of the pair in REST bodies: XXBTZUSD, SOLUSD."""
    base = old_name(symbol).partition("/")[0]
    if base in _PREFIXED - _PLAIN_PAIRS:
        return f"X{base}Z{symbol.quote}"
    return base + symbol.quote


def by_any_name(symbols: Iterable[VenueSymbol]) -> dict[str, VenueSymbol]:
    """Symbols by every spelling that the REST pages take."""
    return {
        name: symbol
        for symbol in symbols
        for name in (symbol.name, old_name(symbol), alternative_name(symbol), rest_name(symbol))
    }


# --- WebSocket v2 ----------------------------------------------------------------------------------------------------


def _trade_v2(symbol: VenueSymbol, trade: VenueTrade) -> str:
    side = "sell" if trade.buyer_is_maker else "buy"
    kind = "limit" if trade.trade_id % 3 else "market"
    return (
        f'{{"symbol":"{symbol.name}","side":"{side}","price":{number_text(trade.price_e8)},'
        f'"qty":{number_text(trade.quantity_e8)},"ord_type":"{kind}","trade_id":{trade.trade_id},'
        f'"timestamp":"{instant_text(trade.time_us)}"}}'
    )


def trade_frames_v2(symbol: VenueSymbol, trades: Iterable[VenueTrade]) -> list[Frame]:
    """One update a trade; `joined` puts them together as the venue does."""
    stream = stream_name(V2, TRADE, symbol)
    return [
        Frame(stream, symbol.market, t.trade_id, _UPDATE + _trade_v2(symbol, t).encode() + _END, t.time_us)
        for t in trades
    ]


def snapshot_v2(symbol: VenueSymbol, trades: Iterable[VenueTrade]) -> bytes:
    """The latest trades, sent on every subscribe."""
    return _SNAPSHOT + ",".join(_trade_v2(symbol, trade) for trade in trades).encode() + _END


def ticker_v2(symbol: VenueSymbol, trade: VenueTrade, day: Day, kind: str) -> bytes:
    """The ticker after a trade; `kind` is snapshot or update."""
    bid, ask = best_prices(symbol, trade)
    change = trade.price_e8 - day.open_e8
    sign = "-" if change < 0 else ""
    return (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{symbol.name}","bid":{number_text(bid)},'
        f'"bid_qty":{number_text(trade.quantity_e8)},"ask":{number_text(ask)},'
        f'"ask_qty":{number_text(2 * trade.quantity_e8)},"last":{number_text(trade.price_e8)},'
        f'"volume":{number_text(day.volume_e8)},"vwap":{number_text(day.average_e8)},"low":{number_text(day.low_e8)},'
        f'"high":{number_text(day.high_e8)},"change":{sign}{number_text(abs(change))},'
        f'"change_pct":{100 * change / day.open_e8:.2f},"timestamp":"{instant_text(trade.time_us)}"}}]}}'
    ).encode()


def joined(frames: Sequence[Frame]) -> list[bytes]:
    """Messages of frames: trades of one feed that follow each other share one, as recorded ones do."""
    messages: list[bytes] = []
    last_stream = ""
    for frame in frames:
        ends = _ends(frame)
        if ends and frame.stream == last_stream and not frame.injected:
            start, stop = ends
            messages[-1] = messages[-1][:-stop] + b"," + frame.payload[start:]
        else:
            messages.append(frame.payload)
        last_stream = frame.stream if ends and not frame.injected else ""
    return messages


def _ends(frame: Frame) -> tuple[int, int] | None:
    """Length of what stands before the trades of a message, and behind them; None for other messages."""
    if not frame.trade_id or frame.ids:  # no trade, or recorded and so untouched
        return None
    if frame.stream.startswith(V2):
        return (len(_UPDATE), len(_END)) if frame.payload.startswith(_UPDATE) else None
    start = frame.payload.find(b"[[")
    return (start + 1, len(frame.payload) - frame.payload.rfind(b"]]") - 1) if start > 0 else None


# --- WebSocket v1 ----------------------------------------------------------------------------------------------------

_CHANNEL_OFFSETS = {TRADE: 1, TICKER: 4}


def channel_id(symbol: VenueSymbol, channel: str) -> int:
    """A number for a channel of a pair, the same for each connection."""
    return sum(ord(letter) * 16 * place for place, letter in enumerate(symbol.base, 1)) + _CHANNEL_OFFSETS[channel]


def _v1_price(price_e8: int) -> str:
    """v1 prints at least five digits behind the point."""
    text = decimal_text(price_e8).rstrip("0")
    return text.ljust(text.index(".") + 6, "0")


def trade_frames_v1(symbol: VenueSymbol, trades: Iterable[VenueTrade]) -> list[Frame]:
    """One array a trade. v1 tells no ids; the frame's id is for the ledger only."""
    stream, pair, channel = stream_name(V1, TRADE, symbol), old_name(symbol), channel_id(symbol, TRADE)
    return [
        Frame(
            stream,
            symbol.market,
            trade.trade_id,
            f'[{channel},[{_trade_v1(trade)}],"trade","{pair}"]'.encode(),
            trade.time_us,
            unnumbered=1,
        )
        for trade in trades
    ]


def _trade_v1(trade: VenueTrade) -> str:
    side = "s" if trade.buyer_is_maker else "b"
    kind = "l" if trade.trade_id % 3 else "m"
    moment = f"{trade.time_us // 1_000_000}.{trade.time_us % 1_000_000:06d}"
    return f'["{_v1_price(trade.price_e8)}","{decimal_text(trade.quantity_e8)}","{moment}","{side}","{kind}",""]'


def ticker_v1(symbol: VenueSymbol, trade: VenueTrade, day: Day) -> bytes:
    """The ticker after a trade; today's figures and those of 24 hours are the same here."""
    bid, ask = best_prices(symbol, trade)
    quantity = decimal_text(trade.quantity_e8)
    body = {
        "a": [_v1_price(ask), trade.quantity_e8 // 10**8, quantity],
        "b": [_v1_price(bid), trade.quantity_e8 // 10**8, quantity],
        "c": [_v1_price(trade.price_e8), quantity],
        "v": [decimal_text(day.volume_e8)] * 2,
        "p": [_v1_price(day.average_e8)] * 2,
        "t": [day.trades] * 2,
        "l": [_v1_price(day.low_e8)] * 2,
        "h": [_v1_price(day.high_e8)] * 2,
        "o": [_v1_price(day.open_e8)] * 2,
    }
    return msgspec.json.encode([channel_id(symbol, TICKER), body, TICKER, old_name(symbol)])


# --- REST ------------------------------------------------------------------------------------------------------------


def answer(result: object) -> dict[str, Any]:
    """A result in the venue's envelope."""
    return {"error": [], "result": result}


def refusal(message: str) -> dict[str, Any]:
    """An error in the venue's envelope, which comes with HTTP 200: `EQuery:Unknown asset pair`."""
    return {"error": [message]}


def rest_trades(symbol: VenueSymbol, trades: Sequence[VenueTrade], after_ns: int) -> bytes:
    """The body of `/0/public/Trades`; `last` is in nanoseconds and continues behind the last trade."""
    rows = ",".join(_rest_trade(trade) for trade in trades)
    last = trades[-1].time_us * 1_000 if trades else after_ns
    return f'{{"error":[],"result":{{"{rest_name(symbol)}":[{rows}],"last":"{last}"}}}}'.encode()


def _rest_trade(trade: VenueTrade) -> str:
    side = "s" if trade.buyer_is_maker else "b"
    kind = "l" if trade.trade_id % 3 else "m"
    moment = f"{trade.time_us // 1_000_000}.{trade.time_us % 1_000_000:06d}"
    return (
        f'["{_v1_price(trade.price_e8)}","{decimal_text(trade.quantity_e8)}",{moment},"{side}","{kind}","",'
        f"{trade.trade_id}]"
    )


def asset_pairs(symbols: Iterable[VenueSymbol]) -> dict[str, Any]:
    """The result of `/0/public/AssetPairs`, with the fields that clients read."""
    return {rest_name(symbol): _pair(symbol) for symbol in symbols}


def _pair(symbol: VenueSymbol) -> dict[str, Any]:
    base = old_name(symbol).partition("/")[0]
    tick = number_text(symbol.tick_e8).removesuffix(".0")
    return {
        "altname": alternative_name(symbol),
        "wsname": old_name(symbol),
        "aclass_base": "currency",
        "base": f"X{base}" if base in _PREFIXED else base,
        "aclass_quote": "currency",
        "quote": f"Z{symbol.quote}",
        "lot": "unit",
        "pair_decimals": len(tick.partition(".")[2]),
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.26]],
        "fees_maker": [[0, 0.16]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0001",
        "tick_size": tick,
        "status": "online",
    }
