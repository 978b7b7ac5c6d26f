"""Feeds, a venue or service each: lineage begins where the data does, and each is observed as it was last heard."""

from crypto_intel.graph.specs import feed_spec
from crypto_intel.operations.observing import observed_feed

fred = feed_spec(
    "fred",
    "FRED's series/observations with vintages. Asked by runs, so it has no signs of life of its own.",
    "rest",
)

feeds = [
    observed_feed("binance", "Binance's combined WebSocket stream, and its REST history by trade id.", "websocket"),
    observed_feed("kraken", "Kraken's WebSocket channels, and its REST history by time.", "websocket"),
    observed_feed("coingecko", "CoinGecko's /coins/markets, polled.", "rest"),
    observed_feed("alphavantage", "Alpha Vantage's exchange rates, polled.", "rest"),
    observed_feed("newsapi", "NewsAPI's /v2/everything, polled.", "rest"),
    observed_feed("rss", "RSS feeds of publishers, polled.", "rest"),
]
