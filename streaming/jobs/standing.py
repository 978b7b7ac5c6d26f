"""Where a query stands by its checkpoint, before it has done a batch of its own.

A query that was killed right behind a batch has told nobody of it, and with nothing new to read it does no other: what
the checkpoint says is then the only word of how far it is.
"""

from __future__ import annotations

from typing import Any

from streaming.jobs.slices import planned_ends
from streaming.sinks.objects import names


def last_batch(checkpoint: str) -> int:
    """The newest batch that Spark has committed; -1 for a new checkpoint."""
    numbers = [int(name) for name in names(f"{checkpoint}/commits") if name.isdigit()]
    return max(numbers, default=-1)


def read_to(checkpoint: str, batch_id: int) -> dict[str, Any]:
    """How far a batch went: {topic: {partition: offset}} and {layer/table: version}; empty for batch -1.

    Raises:
        FatalError: the log is not as this version of Spark writes it.
    """
    if batch_id < 0:
        return {}
    return planned_ends(checkpoint, batch_id, of=Any)
