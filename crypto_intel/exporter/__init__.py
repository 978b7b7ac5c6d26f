"""Metrics of what has no page of its own: Dagster, Kafka's lag, stores and disk. `python -m crypto_intel.exporter`.

Reads only, and only when Prometheus asks. What belongs here: one module a source, its names and units. What does not:
figures that a part of ours counts itself; they are on that part's own page.
"""
