"""Feeds: the venues and services outside, named so that lineage begins where the data does."""

import dagster as dg

from crypto_intel.graph.specs import OWNERS, source_key


def _feed(name: str, description: str, kind: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        source_key(name),
        description=description,
        group_name="sources",
        kinds={kind},
        owners=OWNERS,
        tags={"layer": "sources", "mode": "external"},
    )


feeds = [
    _feed("binance", "Binance's combined WebSocket stream of trades, and its REST history by trade id.", "websocket"),
    _feed("newsapi", "NewsAPI's /v2/everything, polled.", "rest"),
    _feed("fred", "FRED's series/observations with vintages.", "rest"),
]
