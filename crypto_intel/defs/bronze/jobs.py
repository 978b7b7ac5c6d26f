"""The streaming query that writes bronze, observed through what it reports after a batch."""

from crypto_intel.operations.observing import TOPICS, streaming_job

ingest = streaming_job(
    "ingest",
    "Every record of every topic into bronze, whole.",
    [key for topic, key in TOPICS.items() if topic != "alerts"],
)
