"""The benchmark's records as events: trades as Binance puts them on the wire, articles as a plain news record.

A topic that another system filled holds such records; the product reads them through another reader, and everything
behind it is the same.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from crypto_intel.contracts.events import Article, Event, Heartbeat, Trade
from streaming.errors import RejectedInput

BASES = ["BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "LTC", "DOT", "AVAX"]
SYMBOLS = {f"{base}USDT": f"{base}-USDT" for base in BASES}
MARKETS = tuple(SYMBOLS.values())
BEAT = "__hb__"


class WireTrade(msgspec.Struct):
    """A trade, or the marker at a partition's end (e = heartbeat)."""

    e: str
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class WireArticle(msgspec.Struct):
    """An article, or a heartbeat of the news (symbol = __hb__)."""

    id: str
    symbol: str
    publishedAt: str  # noqa: N815 - the record's own name
    title: str
    content: str
    sentiment: float


_trade = msgspec.json.Decoder(WireTrade)
_article = msgspec.json.Decoder(WireArticle)


def read_record(value: bytes) -> Event:
    """The event of a record.

    Raises:
        RejectedInput: malformed_json, unknown_symbol.
    """
    try:
        if value.startswith(b'{"e"'):
            return _trade_event(_trade.decode(value))
        return _article_event(_article.decode(value))
    except (msgspec.DecodeError, ValueError) as error:
        raise RejectedInput("malformed_json", str(error)[:200]) from error
    except KeyError as error:
        raise RejectedInput("unknown_symbol", str(error)) from error


def _trade_event(wire: WireTrade) -> Event:
    at = wire.T * 1000
    if wire.e != "trade":
        return Heartbeat(venue="binance", symbols=MARKETS, event_time=at, received_at=at, ended=True)
    return Trade(
        venue="binance",
        symbol=SYMBOLS[wire.s],
        trade_id=wire.t,
        price=wire.p,
        quantity=wire.q,
        taker_side="sell" if wire.m else "buy",
        event_time=at,
        received_at=at,
    )


def _article_event(wire: WireArticle) -> Event:
    at = int(datetime.fromisoformat(wire.publishedAt).timestamp()) * 1_000_000
    if wire.symbol == BEAT:
        return Heartbeat(venue="newsapi", symbols=(), event_time=at, received_at=at)
    return Article(
        article_id=wire.id,
        source="benchmark",
        url=f"https://news.invalid/{wire.id}",
        title=wire.title,
        content=wire.content,
        published_at=at,
        first_seen_at=at,
        symbols=(SYMBOLS[wire.symbol].partition("-")[0],),
        sentiment=wire.sentiment,
    )
