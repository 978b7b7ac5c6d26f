"""What the pages show of places other than PostgreSQL: Dagster's checks by its GraphQL, the lake, Redis.

Guarantee: none of it is needed. A Dagster or a lake that cannot be asked gives None, and the page says so.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import httpx
import polars as pl
import streamlit as st

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    BRONZE_QUOTES,
    BRONZE_REJECTED,
    BRONZE_TRADES,
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_TRADES,
)
from crypto_intel.serving.dashboard import data

KEPT_S = 20
TIMEOUT_S = 4.0
NEWEST_FILES = 4
"""Files of the lake that are read for the newest trades: each holds one batch of the stream, of seconds."""

TRADES_SHOWN = 50
_COUNTED = (
    BRONZE_TRADES,
    BRONZE_QUOTES,
    BRONZE_NEWS,
    BRONZE_FEED_STATUS,
    BRONZE_REJECTED,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_TRADES,
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
)
_TRADES = ["event_time", "venue", "symbol", "price", "quantity", "taker_side", "trade_id"]
_CHECKS = """{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks { name
  executionForLatestMaterialization { timestamp partition evaluation { success severity description } } } } } } }"""


def dagster_url() -> str | None:
    """Where Dagster's pages are; None where nobody said."""
    return os.environ.get("CRYPTO_INTEL_DAGSTER_URL")


@st.cache_data(ttl=KEPT_S, show_spinner=False)
def checks() -> pl.DataFrame | None:
    """The newest verdict of each check: table, check, passed, judged_at, partition, says."""
    url = dagster_url()
    if url is None:
        return None
    try:
        answer = httpx.post(f"{url}/graphql", json={"query": _CHECKS}, timeout=TIMEOUT_S, trust_env=False)
        nodes = answer.raise_for_status().json()["data"]["assetNodes"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    return frame_of(nodes)


def frame_of(nodes: list[dict[str, Any]]) -> pl.DataFrame:
    """Dagster's answer as a frame; checks that never ran are left out. Failed ones come first, then the newest."""
    rows = []
    for node in nodes:
        for check in node["assetChecksOrError"].get("checks", []):
            found = check["executionForLatestMaterialization"]
            verdict = found and found["evaluation"]
            if verdict:
                rows.append(
                    (
                        "/".join(node["assetKey"]["path"]),
                        check["name"],
                        verdict["success"],
                        datetime.fromtimestamp(found["timestamp"], UTC),
                        found["partition"],
                        verdict["description"] or "",
                    )
                )
    schema: dict[str, Any] = {
        "table": pl.String,
        "check": pl.String,
        "passed": pl.Boolean,
        "judged_at": pl.Datetime("us", "UTC"),
        "partition": pl.String,
        "says": pl.String,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.sort("passed", "judged_at", descending=[False, True])


@st.cache_data(ttl=KEPT_S, show_spinner=False)
def newest_trades() -> pl.DataFrame | None:
    """The newest trades that the lake has, newest first; None where the lake cannot be read from here."""
    files = _files(BRONZE_TRADES)
    if files is None:
        return None
    newest = files.sort("modification_time", descending=True)["path"].head(NEWEST_FILES)
    root = BRONZE_TRADES.path(data.settings().lake_root)
    try:
        frame = pl.concat([pl.scan_parquet(f"{root}/{path}").select(_TRADES) for path in newest])
        return frame.sort("event_time", "trade_id", descending=True).head(TRADES_SHOWN).collect()
    except (OSError, pl.exceptions.PolarsError, ValueError):  # a file that was compacted away meanwhile
        return None


@st.cache_data(ttl=KEPT_S, show_spinner=False)
def held() -> pl.DataFrame:
    """What lake and cache hold: sink, name, rows. What cannot be asked is left out."""
    rows: list[tuple[str, str, int]] = []
    for table in _COUNTED:
        files = _files(table)
        if files is not None:
            rows.append(("lake", table.full_name, int(files["num_records"].sum())))
    cached = _cached_keys()
    if cached is not None:
        rows.append(("redis", "keys", cached))
    return pl.DataFrame(rows, schema={"sink": pl.String, "name": pl.String, "rows": pl.Int64}, orient="row")


def _cached_keys() -> int | None:
    import redis  # noqa: PLC0415

    url = data.settings().redis_url
    if url is None:
        return None
    try:
        with redis.Redis.from_url(url.get_secret_value(), socket_timeout=1, socket_connect_timeout=1) as client:
            return int(client.dbsize())
    except redis.RedisError:
        return None


def _files(table: Table) -> pl.DataFrame | None:
    # Of the table's log alone: no data is read. On use, since most looks at the pages are at others.
    from deltalake import DeltaTable  # noqa: PLC0415
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        files = DeltaTable(table.path(data.settings().lake_root)).get_add_actions(flatten=True)
    except (DeltaError, OSError):
        return None
    return pl.DataFrame(files).select("path", "modification_time", "num_records")
