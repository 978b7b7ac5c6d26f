"""The streaming queries that publish, observed through what they report after a batch."""

from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    SILVER_BAR_NEWS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
)
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.observing import TOPICS, streaming_job

live = streaming_job(
    "live", "Seconds-fresh prices into PostgreSQL and Redis, and the first alert rule.", [TOPICS["trades"]]
)
publish = streaming_job(
    "publish",
    "What streamed into PostgreSQL and Redis: bars, pairs, articles, gaps, provisional enriched rows.",
    [key_of(t) for t in (SILVER_BARS_1M, SILVER_BARS_5M, SILVER_BAR_NEWS, BRONZE_NEWS, BRONZE_FEED_STATUS)],
)
