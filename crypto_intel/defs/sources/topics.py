"""Kafka's topics, observed: how far each is and how fast it grows."""

from collections.abc import Iterator

import dagster as dg

from crypto_intel.observing import TOPICS, observe_topics
from crypto_intel.resources.kafka import KafkaOffsets
from crypto_intel.specs import OWNERS, source_key

_DOCS = {
    "trades": "Trades and heartbeats of every venue; key venue:symbol.",
    "quotes": "Quotes of aggregators and best bids and asks; key venue:symbol.",
    "news": "Articles and heartbeats of the news feeds; key article_id.",
    "feed_status": "State changes, polls and gaps of the feeds; key venue.",
    "dead_letters": "Input that producers could not use, whole, with its reason.",
    "alerts": "Rules that fired; key alert_id.",
}
_DEPS = {
    "trades": ["binance"],
    "quotes": ["binance"],
    "news": ["newsapi"],
    "feed_status": ["binance", "newsapi"],
    "dead_letters": ["binance", "newsapi"],
    "alerts": ["live_job"],
}


@dg.multi_observable_source_asset(
    name="topics",
    can_subset=True,
    specs=[
        dg.AssetSpec(
            key,
            deps=[source_key(name) for name in _DEPS[topic]],
            description=_DOCS[topic],
            group_name="sources",
            kinds={"kafka"},
            owners=OWNERS,
            tags={"layer": "sources", "mode": "streaming"},
        )
        for topic, key in TOPICS.items()
    ],
)
def topics(context: dg.AssetExecutionContext, kafka: KafkaOffsets) -> Iterator[dg.ObserveResult]:
    """Offsets, records and partitions of each topic."""
    for observed in observe_topics(kafka):
        if observed.key in context.selected_asset_keys:
            yield observed.result()
