"""The watch of a sensor over its ticks: kept in its cursor, begun anew by each process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec

from crypto_intel.core.watch import Watch, look


@cache
def began_at() -> datetime:
    """When this process first looked at anything."""
    return datetime.now(UTC)


def watch(cursor: str | None, break_after: timedelta) -> Watch:
    """The watch that goes on with this look.

    Args:
        cursor: what `kept` made of the watch before.
        break_after: time between two looks that is a break.
    """
    began = began_at()
    before = msgspec.json.decode(cursor, type=Watch) if cursor else None
    return look(before, datetime.now(UTC), began_at=began, break_after=break_after)


def kept(watch: Watch) -> str:
    """A watch as a sensor's cursor."""
    return msgspec.json.encode(watch).decode()
