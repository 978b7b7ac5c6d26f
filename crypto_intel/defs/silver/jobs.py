"""The streaming queries that write silver, observed through what they report after a batch."""

from crypto_intel.contracts.tables import SILVER_BARS_1M
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.observing import TOPICS, streaming_job

bar_news = streaming_job(
    "bar_news", "Bars joined with news within five minutes.", [TOPICS["news"], key_of(SILVER_BARS_1M)]
)
