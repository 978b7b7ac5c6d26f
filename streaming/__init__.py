"""Venue -> Kafka -> Delta: the long-running part. Never imports dagster; of crypto_intel only the contracts."""
