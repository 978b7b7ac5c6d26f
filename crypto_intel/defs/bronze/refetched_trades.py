"""bronze.refetched_trades_*: trades that a venue's stream did not give and its producer could not fetch, by trade id.

They leave through Kafka like all others, so that everything behind them follows by itself: bronze, the ledger, repaired
minutes, the hour made again. An asset a venue, since each has a request budget of its own.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES
from crypto_intel.core.errors import PermanentError, TransientError
from crypto_intel.core.refetching import Stretch
from crypto_intel.graph.reports import markdown
from crypto_intel.graph.specs import OWNERS, key_of, refetched_key, source_key
from crypto_intel.operations.refetching import Plan, plan, policy
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.venues import Venues
from streaming.producers.missing import Brought, Refetched

MAX_SHOWN = 20
BUSY_RETRIES, BUSY_WAIT_S = 1, 15
"""A venue that is busy for longer is asked again by the sensor's next run."""


class Asked(dg.Config):
    """Ids of a market, both ends included."""

    symbol: str
    first_id: int
    last_id: int


class Wanted(dg.Config):
    """Which of the missing ids to fetch. None named: all that are missing of the venue, the newest gaps first."""

    stretches: list[Asked] = Field(default_factory=list)


def _asset(venue: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=refetched_key(venue),
        deps=[source_key(venue), key_of(BRONZE_FEED_STATUS), key_of(BRONZE_TRADES)],
        group_name="bronze",
        kinds={"rest", "kafka"},
        owners=OWNERS,
        tags={"layer": "bronze", "mode": "batch"},
        description=f"Trades that are missing by {venue}'s ids and that its producer left open, fetched by id over "
        "REST and written to the trades topic as the producer would; what came and what is gone is told in the "
        "feed_status topic. Materialize it without config to fetch all that is missing now.",
        pool=f"venue_{venue}",
        code_version="1",
    )
    def refetched(config: Wanted, lake: Lake, venues: Venues) -> dg.MaterializeResult[Any]:
        asked = [Stretch(one.symbol, one.first_id, one.last_id) for one in config.stretches]
        planned = plan(lake, venue, asked, policy().limit_ids)
        try:
            done = venues.refetch(venue, planned.wanted, planned.here)
        except TransientError as error:
            raise dg.RetryRequested(max_retries=BUSY_RETRIES, seconds_to_wait=BUSY_WAIT_S) from error
        except PermanentError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        return _told(venue, planned, done)

    asset: dg.AssetsDefinition = refetched
    return asset


def _told(venue: str, planned: Plan, done: Refetched) -> dg.MaterializeResult[Any]:
    """What a try brought, or the failure that it is.

    Raises:
        dagster.RetryRequested: the venue is busy, and gave nothing.
        dagster.Failure: it refuses some of what was asked.
    """
    metadata = _metadata(planned, done)
    refused = {one.missing.symbol: one.refused for one in done.brought if one.refused}
    if done.busy and not any(one.found or one.gone for one in done.brought):
        raise dg.RetryRequested(max_retries=BUSY_RETRIES, seconds_to_wait=BUSY_WAIT_S) from TransientError(
            f"{venue}: {done.busy}"
        )
    if refused:
        reasons = "; ".join(f"{symbol}: {reason}" for symbol, reason in sorted(refused.items()))
        raise dg.Failure(f"{venue} refuses: {reasons}", metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


def _metadata(planned: Plan, done: Refetched) -> dict[str, Any]:
    asked = sum(missing.gap.size for missing in planned.wanted)
    found, gone = sum(one.found for one in done.brought), sum(one.gone for one in done.brought)
    minutes = {(one.missing.symbol, minute) for one in done.brought for minute in one.minutes}
    return {
        "ids_asked": asked,
        "ids_found": found,
        "ids_gone": gone,
        "ids_here_already": sum(missing.gap.size for missing in planned.here),
        "ids_missing_still": asked - found - gone,
        "minutes_hit": len(minutes),
        "stopped_because": done.busy,
        "preview": dg.MetadataValue.md(markdown(pl.DataFrame(map(_row, done.brought[:MAX_SHOWN])), cell_chars=200)),
    }


def _row(one: Brought) -> dict[str, object]:
    return {
        "symbol": one.missing.symbol,
        "first_id": one.missing.gap.first,
        "last_id": one.missing.gap.last,
        "found": one.found,
        "gone": one.gone,
        "missing": one.left,
        "minutes": ", ".join(f"{datetime.fromtimestamp(us / 1e6, UTC):%m-%d %H:%M}" for us in sorted(one.minutes)),
        "why": one.refused,
    }


refetched_trades = [_asset(venue) for venue in TRADE_VENUES]
