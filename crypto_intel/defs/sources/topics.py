"""Kafka's topics, observed: how far each is and how fast it grows."""

from collections.abc import Iterator

import dagster as dg

from crypto_intel.contracts.parts import NEWS_FEEDS, QUOTE_FEEDS, TRADE_VENUES
from crypto_intel.graph.specs import OWNERS, source_key
from crypto_intel.operations.observing import JOBS, TOPICS, observe_topics
from crypto_intel.resources.kafka import KafkaOffsets

_DOCS = {
    "trades": "Trades and heartbeats of every venue; key venue:symbol.",
    "quotes": "Quotes of aggregators and best bids and asks; key venue:symbol.",
    "news": "Articles and heartbeats of the news feeds; key article_id.",
    "feed_status": "State changes, polls and gaps of the feeds; key venue.",
    "dead_letters": "Input that producers could not use, whole, with its reason.",
    "alerts": "Rules that fired; key alert_id.",
}
_FEEDS = [source_key(name) for name in (*TRADE_VENUES, *QUOTE_FEEDS, *NEWS_FEEDS)]
_DEPS = {
    "trades": [source_key(name) for name in TRADE_VENUES],
    "quotes": [source_key(name) for name in (*TRADE_VENUES, *QUOTE_FEEDS)],
    "news": [source_key(name) for name in NEWS_FEEDS],
    "feed_status": _FEEDS,
    "dead_letters": _FEEDS,
    "alerts": [JOBS["live"]],
}


def _topic(name: str, key: dg.AssetKey) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        key,
        deps=_DEPS[name],
        description=_DOCS[name],
        group_name=key.path[0],
        kinds={"kafka"},
        owners=OWNERS,
        tags={"layer": key.path[0], "mode": "streaming"},
    )

    @dg.multi_observable_source_asset(name=f"observe_{name}_topic", specs=[spec])
    def observe(kafka: KafkaOffsets) -> Iterator[dg.ObserveResult]:
        yield from (observed.result() for observed in observe_topics(kafka, [name]))

    observed: dg.AssetsDefinition = observe
    return observed


topics = [_topic(name, key) for name, key in TOPICS.items()]
