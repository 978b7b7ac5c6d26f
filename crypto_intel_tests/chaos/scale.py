"""How much of each fault is done: by hand in full, in tests in short."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

Tell = Callable[[str], None]
"""Told after each step of a long fault."""


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        kills: of the driver, while `trades` and `articles` flow at `per_s`.
        kill_minutes: after that no more are done.
        edges: how often a batch is cut at each edge.
        edge_minutes: after that no more are, by kills.
        spoilt: payloads among `good` ones.
        frozen_s: seconds that the broker is frozen, and PostgreSQL is down, slow or without space.
        soak_minutes: of steady flow.
        quiet_minutes: of feed time without news, a second each.
    """

    kills: int
    kill_minutes: float
    trades: int
    articles: int
    per_s: float
    edges: int
    edge_minutes: float
    spoilt: int
    good: int
    frozen_s: float
    soak_minutes: float
    quiet_minutes: int

    def with_(self, changes: Iterable[str]) -> Scale:
        """The same with other amounts, each given as `name=number`.

        Raises:
            KeyError: there is no such amount.
        """
        told = dict(change.split("=", 1) for change in changes)
        return replace(self, **{name: type(vars(self)[name])(value) for name, value in told.items()})


FULL = Scale(100, 45, 1_000_000, 1_000, 450, 10, 90, 10_000, 100_000, 60, 10, 120)
SHORT = Scale(10, 5, 60_000, 100, 700, 1, 10, 1_000, 10_000, 10, 1, 20)
