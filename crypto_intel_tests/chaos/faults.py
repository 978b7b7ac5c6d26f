"""The list of faults in the order of their importance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from crypto_intel_tests.chaos import (
    cache,
    clocks,
    crashes,
    edges,
    odd_input,
    outages,
    postgres,
    quiet_news,
    soak,
    writers,
)
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.table import Row


@dataclass(frozen=True)
class Fault:
    """A fault: which goal it is about, its name, and what does it."""

    goal: str
    name: str
    do: Callable[[Ground, Tell], list[Row]]

    def is_meant(self, words: Iterable[str]) -> bool:
        """Whether any of the words is its goal or in its name; without words it is."""
        asked = list(words)
        return not asked or any(word == self.goal or word in self.name for word in asked)


def faults(scale: Scale) -> list[Fault]:
    """All of them."""
    return [
        Fault("R1", "kills", lambda at, tell: [crashes.kills(at, scale, tell)]),
        Fault("R2", "edges killed", lambda at, tell: edges.killed(at, scale, tell)),
        Fault("R2", "worker killed", lambda at, tell: edges.worker_killed(at, scale, tell)),
        Fault("R2", "edges cut", lambda at, tell: edges.cut(at, scale, tell)),
        Fault("R3", "commit deleted", lambda at, _: [crashes.commit_deleted(at)]),
        Fault("R3", "damaged checkpoint", lambda at, _: crashes.damaged(at)),
        Fault("R4", "rebuild", lambda at, _: [crashes.rebuilt(at), crashes.rebuilt(at, killed=True)]),
        Fault("R4", "checkpoint deleted", lambda at, _: [crashes.checkpoint_deleted(at)]),
        Fault("R5", "broker", lambda at, tell: outages.broker_away(at, scale, tell)),
        Fault("R9", "postgres down", lambda at, tell: [postgres.away(at, scale, tell)]),
        Fault("R9", "postgres slow", lambda at, tell: [postgres.slow(at, scale, tell)]),
        Fault("R9", "postgres full", lambda at, tell: [postgres.full(at, scale, tell)]),
        Fault("R10", "redis", lambda at, _: cache.redis_away(at, scale)),
        Fault("R8", "spoilt", lambda at, tell: odd_input.spoilt(at, scale, tell)),
        Fault("R12", "late and future", lambda at, _: odd_input.late_and_future(at)),
        Fault("R13", "late amid others", lambda at, _: odd_input.late_amid(at)),
        Fault("R12", "wrong clocks", clocks.wrong_clocks),
        Fault("R14", "quiet news", lambda at, tell: [quiet_news.quiet_news(at, scale, tell)]),
        Fault("R17", "two writers", lambda at, _: writers.two_writers(at)),
        Fault("R18", "soak", lambda at, tell: [soak.soak(at, scale, tell)]),
        Fault("R11", "disk full", outages.disks_full),
    ]
