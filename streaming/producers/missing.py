"""Missing trades as they are asked for and answered (refetch.py): shapes only, so that they are cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from streaming.producers.gaps import Gap


class Missing(NamedTuple):
    """Ids of a market that are missing; the gap's `since` is the time of a trade before them, 0 if none is known."""

    symbol: str
    gap: Gap


@dataclass
class Brought:
    """What became of one stretch of missing ids.

    Attributes:
        missing: the stretch.
        found: ids that the venue gave.
        gone: ids that it no longer has.
        minutes: that the trades are in, µs since 1970.
        refused: why the same request will not be answered later either; empty where it may be.
    """

    missing: Missing
    found: int = 0
    gone: int = 0
    minutes: set[int] = field(default_factory=set)
    refused: str = ""

    @property
    def left(self) -> int:
        """Ids that are missing still."""
        return self.missing.gap.size - self.found - self.gone


@dataclass
class Refetched:
    """What a try brought, stretch by stretch in the order asked; `busy` says why it stopped, if it was stopped."""

    brought: list[Brought] = field(default_factory=list)
    busy: str = ""
