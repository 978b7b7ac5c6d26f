"""The platform's own incidents on the path of alerts: raised once while a condition lasts, resolved when it is gone.

Guarantee: an incident enters public.alerts and the outbox of the alerts topic in one transaction, as the stream's
alerts do. Which are open stands in the database alone, so neither a lost cursor nor a restart doubles one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from crypto_intel.contracts.rules import PLATFORM
from crypto_intel.contracts.settings import Settings
from crypto_intel.core.incidents import Condition, incident
from streaming.sinks.postgres import insert_alerts

Connection = psycopg.Connection[Any]

REPORTS = "SELECT query, updated_at, lag_records, lag_s FROM ops.stream_progress ORDER BY query"
_OPEN = (
    "SELECT alert_id, evidence FROM public.alerts WHERE rule = 'data_incident' AND resolved_at IS NULL AND venue = %s"
)
_RESOLVE = (
    "UPDATE public.alerts SET resolved_at = %s, "
    "state = CASE WHEN state IN ('open', 'acknowledged') THEN 'resolved' ELSE state END WHERE alert_id = ANY(%s)"
)
_FEEDS_ARE_BACK = """
UPDATE public.alerts a SET resolved_at = f.event_time,
  state = CASE WHEN a.state IN ('open', 'acknowledged') THEN 'resolved' ELSE a.state END
FROM public.feeds f
WHERE a.rule = 'data_incident' AND a.resolved_at IS NULL AND a.evidence::jsonb #>> '{rule,family}' = 'feed_silent'
  AND f.venue = a.venue AND f.stream = 'heartbeat' AND f.event_time > a.window_end
"""


def tell(
    connection: Connection, conditions: Sequence[Condition], *, now: datetime, platform: datetime
) -> tuple[int, int]:
    """Raise what is new and certain, and resolve what is gone; how many of each.

    Args:
        conditions: what is not certain is neither raised nor gone.
        now: wall clock.
        platform: platform clock.
    """
    known = {_key(evidence): alert_id for alert_id, evidence in connection.execute(_OPEN, (PLATFORM,)).fetchall()}
    new = [condition for condition in conditions if condition.is_certain and condition.key not in known]
    source = Settings().source
    insert_alerts(connection, [incident(one, source=source, began_at=now, platform=platform) for one in new])
    gone = [alert_id for key, alert_id in known.items() if key not in {condition.key for condition in conditions}]
    connection.execute(_RESOLVE, (platform, gone))
    feeds = connection.execute(_FEEDS_ARE_BACK).rowcount
    return len(new), len(gone) + int(feeds)


def _key(evidence: str) -> str:
    return str(msgspec.json.decode(evidence).get("rule", {}).get("key"))
