"""What a query's steps remember between batches, kept beside its checkpoint.

Guarantee: the states of a batch are there as a whole or not at all, and a batch starts from those of the batch before
it, or stops loudly. They are written behind a batch's other sinks and before Spark counts the batch as done: a crash
in between repeats the batch from the same states over the same records, which gives the same output. The last `KEEP`
batches are kept, as Spark keeps its own.

A file is msgpack of {format, settings, ends, partitions}, behind its sha256.
"""

from __future__ import annotations

import hashlib

import msgspec

from streaming.errors import FatalError
from streaming.sinks.objects import get, put, remove

FORMAT = 1
"""Grows when what the steps remember changes its form; states of another format are refused."""

KEEP = 30

_DIGEST = 32


class States(msgspec.Struct):
    """What is known after a batch.

    Attributes:
        partitions: a step's state by `topic/partition`.
        ends: the last offset that was taken, by `topic/partition`.
        settings: what the states depend on; other settings can not go on from them.
        resume: what an earlier checkpoint had written, for queries that go on from there.
    """

    format: int = FORMAT
    settings: dict[str, str] = {}
    ends: dict[str, int] = {}
    partitions: dict[str, bytes] = {}
    resume: bytes = b""


class StateFiles:
    """The states of one query.

    Args:
        folder: under the query's checkpoint.
        settings: those that the states depend on.
    """

    def __init__(self, folder: str, settings: dict[str, str]) -> None:
        self._folder = folder
        self._settings = settings

    def before(self, batch_id: int) -> States | None:
        """The states that a batch starts from; None for the first batch of a checkpoint.

        Raises:
            FatalError: they are missing, damaged, or were written with other settings or by another version.
        """
        if batch_id == 0:
            return None
        states = self._read(batch_id - 1)
        if states is None:
            raise FatalError(f"the states of batch {batch_id - 1} are missing in {self._folder}; {_REMEDY}")
        return states

    def check(self, batch_id: int, states: States) -> None:
        """Hold a repeated batch to what it was the first time.

        Raises:
            FatalError: it had other records then, so sinks that have it would skip records. Someone changed the
                checkpoint's offsets.
        """
        earlier = self._read(batch_id)
        if earlier is not None and earlier.ends != states.ends:
            raise FatalError(f"batch {batch_id} of {self._folder} was written with other offsets; {_REMEDY}")

    def write(self, batch_id: int, states: States) -> None:
        """Keep the states of a batch, and forget those of long ago."""
        states.settings = self._settings
        content = msgspec.msgpack.encode(states)
        put(self._path(batch_id), hashlib.sha256(content).digest() + content)
        if batch_id >= KEEP:
            remove(self._path(batch_id - KEEP))

    def _path(self, batch_id: int) -> str:
        return f"{self._folder}/{batch_id}.states"

    def _read(self, batch_id: int) -> States | None:
        content = get(self._path(batch_id))
        if content is None:
            return None
        digest, body = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise FatalError(f"the states of batch {batch_id} in {self._folder} are damaged; {_REMEDY}")
        states = msgspec.msgpack.decode(body, type=States)
        if states.format != FORMAT:
            raise FatalError(
                f"states of format {states.format} in {self._folder}, this version has {FORMAT}; {_REMEDY}"
            )
        if states.settings != self._settings:
            raise FatalError(
                f"the states in {self._folder} were written with {states.settings}, not {self._settings}; "
                f"set them back, or {_REMEDY}"
            )
        return states


_REMEDY = "start this query from a new checkpoint: `crypto-intel rebuild QUERY`"
