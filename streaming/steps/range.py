"""Offsets of a Kafka partition that are read together."""

from __future__ import annotations

import msgspec


class Range(msgspec.Struct, frozen=True):
    """Records of a partition from `start` up to `until`, exclusive."""

    topic: str
    partition: int
    start: int
    until: int

    @property
    def name(self) -> str:
        """`topic/partition`."""
        return f"{self.topic}/{self.partition}"

    @property
    def last(self) -> int:
        """The last offset."""
        return self.until - 1

    @property
    def size(self) -> int:
        """How many offsets."""
        return self.until - self.start
