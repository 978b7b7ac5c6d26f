"""What a query's steps remember between batches, kept beside its checkpoint.

Guarantee: the states of a batch are there as a whole or not at all, and a batch starts from those of the batch before
it, or stops loudly. They are written behind a batch's other sinks and before Spark counts the batch as done: a crash
in between repeats the batch from the same states over the same records, which gives the same output. The last `KEEP`
batches are kept, as Spark keeps its own.

Before a batch's first sink it is noted which records it takes (`begin`). Sinks know batches by their number: one that
came again with other records would be taken for done, and its records skipped.

A file of states is msgpack of {format, settings, ends, partitions}, behind its sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import get_args

import msgspec

from streaming import failpoints
from streaming.errors import FatalError
from streaming.sinks.objects import get, put, remove

FORMAT = 2
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


class Begun(msgspec.Struct):
    """What is noted before a batch: the last offset that it takes, by `topic/partition`, and States.resume."""

    ends: dict[str, int]
    resume: bytes = b""


class StateFiles:
    """The states of one query.

    Args:
        folder: `<checkpoints>/<query>/states`.
        settings: those that the states depend on.
        of: type of a partition's state; states of another form are refused.
    """

    def __init__(self, folder: str, settings: dict[str, str], of: object = None) -> None:
        self._folder = folder
        self._query = folder.split("/")[-2]
        self._settings = settings if of is None else {**settings, "form of the state": form_of(of)}

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

    def begin(self, batch_id: int, ends: Mapping[str, int], resume: Callable[[], bytes] = bytes) -> bytes:
        """Note what a batch takes, before any sink has any of it; hold a repeated one to what it was the first time.

        Args:
            resume: asked once, so that a repeated first batch does not take its own rows for those of before.

        Returns:
            What `resume` gave the first time.

        Raises:
            FatalError: it had other records then, so sinks that have it would skip records. Someone changed the
                checkpoint's offsets.
        """
        path = f"{self._folder}/{batch_id}.begun"
        content = get(path)
        if content is None:
            begun = Begun(dict(ends), resume())
            put(path, msgspec.msgpack.encode(begun))
            failpoints.reach(f"{self._query}:begun")
            return begun.resume
        try:
            begun = msgspec.msgpack.decode(content, type=Begun)
        except msgspec.DecodeError as error:
            raise FatalError(f"{path} is damaged; {_REMEDY}") from error
        if begun.ends != ends:
            raise FatalError(f"batch {batch_id} of {self._folder} was begun with other offsets; {_REMEDY}")
        return begun.resume

    def write(self, batch_id: int, states: States) -> None:
        """Keep the states of a batch, and forget those of long ago."""
        states.settings = self._settings
        content = msgspec.msgpack.encode(states)
        put(self._path(batch_id), hashlib.sha256(content).digest() + content)
        if batch_id >= KEEP:
            remove(self._path(batch_id - KEEP))
            remove(f"{self._folder}/{batch_id - KEEP}.begun")
        failpoints.reach(f"{self._query}:states")

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


def form_of(state: object) -> str:
    """A digest of the names and types of all fields in a state's type: another form has another one."""
    forms: dict[str, list[str]] = {}

    def visit(part: object) -> None:
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part.__name__ not in forms:
            fields = msgspec.structs.fields(part)
            forms[part.__name__] = [f"{field.name}: {field.type}" for field in fields]
            for field in fields:
                visit(field.type)
        for inner in get_args(part):
            visit(inner)

    visit(state)
    return hashlib.sha256(msgspec.json.encode([str(state), forms])).hexdigest()[:12]


_REMEDY = "start this query from a new checkpoint: `crypto-intel rebuild QUERY`"
