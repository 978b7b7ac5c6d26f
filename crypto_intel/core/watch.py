"""Since when somebody has watched without a break: who did not listen can not say that another was silent.

A platform that was stopped, a machine that slept and a database that was away leave old reports behind, which say
nothing of who wrote them. What belongs here: the rule. What does not: what is watched (core/incidents.py, checks/).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec


class Watch(msgspec.Struct, frozen=True):
    """When a watch began and when its last look was; wall clock."""

    since: datetime
    looked_at: datetime

    def lasted(self) -> timedelta:
        """From its beginning to its last look."""
        return self.looked_at - self.since


def look(before: Watch | None, now: datetime, *, began_at: datetime, break_after: timedelta) -> Watch:
    """The watch behind a look: the one before goes on, or a new one begins where it was broken.

    Args:
        before: behind the look before; None at the first.
        now: wall clock.
        began_at: when this watcher's process began to look: what an earlier one saw is another watch.
        break_after: time between two looks that is a break.
    """
    is_same = before is not None and before.looked_at >= began_at and now - before.looked_at < break_after
    return Watch(before.since if before and is_same else now, now)
