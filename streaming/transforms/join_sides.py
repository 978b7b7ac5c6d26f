"""What the join of bars and news reads, as Spark's DDL. Alone here: Spark's planning processes need it and no more."""

from __future__ import annotations

BARS_SCHEMA = "venue string, symbol string, base string, window_start timestamp, window_end timestamp, close double"

NEWS_SCHEMA = (
    "asset string, article_id string, cluster_id string, title string, source string, published_at timestamp, "
    "first_seen_at timestamp, sentiment double"
)
"""A row for each article and asset, and for each heartbeat one of the asset HEARTBEAT_KEY."""


def names(ddl: str) -> list[str]:
    """The columns of a side."""
    return [field.split()[0] for field in ddl.split(", ")]
