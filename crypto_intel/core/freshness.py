"""Fresh or stale, by the platform clock: a replay of 2024 is as fresh as 2024 was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Freshness:
    """How old the newest row was at a moment of the platform clock; `age` is None without a row or a clock."""

    newest: datetime | None
    clock: datetime | None
    bound: timedelta

    @property
    def age(self) -> timedelta | None:
        """Platform time since the newest row; below zero where the venue's clock runs ahead of ours."""
        return self.clock - self.newest if self.clock and self.newest else None

    @property
    def is_fresh(self) -> bool:
        """Young enough; with no row at all it is not, with no clock yet nothing is due."""
        if self.clock is None:
            return True
        return self.age is not None and self.age <= self.bound
