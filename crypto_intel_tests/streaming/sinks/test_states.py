"""States between batches: whole or absent, of the right batch, settings and records, or a loud stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from streaming.errors import FatalError
from streaming.jobs.bar_news import frozen
from streaming.settings import News, Spark, StreamingSettings
from streaming.sinks.states import FORMAT, KEEP, StateFiles, States, form_of

SETTINGS = {"bars.delay_s": "10"}


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    """Of a query that has done batch 0."""
    made = StateFiles(str(tmp_path), SETTINGS)
    made.write(0, States(ends={"trades/0": 41}, partitions={"trades/0": b"state"}, resume=b"r"))
    return made


def test_a_batch_starts_from_the_states_of_the_one_before(files: StateFiles) -> None:
    states = files.before(1)
    assert states is not None
    assert (states.ends, states.partitions, states.resume) == ({"trades/0": 41}, {"trades/0": b"state"}, b"r")


def test_the_first_batch_starts_from_nothing(files: StateFiles) -> None:
    assert files.before(0) is None


def test_missing_states_stop_the_query(files: StateFiles) -> None:
    with pytest.raises(FatalError, match="states of batch 4 are missing"):
        files.before(5)


def test_damaged_states_stop_the_query(files: StateFiles, tmp_path: Path) -> None:
    path = tmp_path / "0.states"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FatalError, match="damaged"):
        files.before(1)


def test_other_settings_are_refused_and_named(files: StateFiles, tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=r"written with \{'bars.delay_s': '10'\}, not \{'bars.delay_s': '60'\}"):
        StateFiles(str(tmp_path), {"bars.delay_s": "60"}).before(1)


def test_a_batch_that_comes_again_must_have_the_same_records(files: StateFiles) -> None:
    assert files.begin(1, {"trades/0": 99}, lambda: b"first") == b"first"
    assert files.begin(1, {"trades/0": 99}, lambda: b"second") == b"first"
    with pytest.raises(FatalError, match="other offsets"):
        files.begin(1, {"trades/0": 98})


def test_a_damaged_note_of_what_was_begun_stops_the_query(files: StateFiles, tmp_path: Path) -> None:
    (tmp_path / "1.begun").write_bytes(b"")
    with pytest.raises(FatalError, match="damaged"):
        files.begin(1, {"trades/0": 99})


def test_old_states_are_forgotten_and_enough_are_kept(files: StateFiles, tmp_path: Path) -> None:
    for batch in range(1, KEEP + 3):
        files.write(batch, States())
    kept = sorted(int(path.stem) for path in tmp_path.glob("*.states"))
    assert kept == list(range(3, KEEP + 3))


def test_notes_of_old_batches_go_with_their_states(files: StateFiles, tmp_path: Path) -> None:
    for batch in range(1, KEEP + 3):
        files.begin(batch, {})
        files.write(batch, States())
    kept = sorted(int(path.stem) for path in tmp_path.glob("*.begun"))
    assert kept == list(range(3, KEEP + 3))


class Inner(msgspec.Struct):
    """A part of a state."""

    count: int


class Remembered(msgspec.Struct):
    """A state."""

    inner: list[Inner]


class Grown(msgspec.Struct):
    """What became of Inner."""

    count: int
    more: int = 0


def test_a_state_of_another_form_is_refused(tmp_path: Path) -> None:
    folder = str(tmp_path)
    StateFiles(folder, SETTINGS, dict[str, Inner]).write(0, States())
    assert StateFiles(folder, SETTINGS, dict[str, Inner]).before(1)
    with pytest.raises(FatalError, match=r"form of the state.*new checkpoint: `crypto-intel rebuild QUERY`"):
        StateFiles(folder, SETTINGS, dict[str, Grown]).before(1)


def test_the_form_of_a_state_is_that_of_its_parts_too() -> None:
    before = form_of(Remembered)
    assert before == form_of(Remembered)
    assert before != form_of(msgspec.defstruct("Remembered", [("inner", list[Grown])]))
    assert form_of(dict[str, Inner]) != form_of(dict[str, Grown])


def test_states_of_another_format_are_refused(tmp_path: Path) -> None:
    StateFiles(str(tmp_path), SETTINGS).write(0, States(format=FORMAT + 1))
    with pytest.raises(FatalError, match=f"states of format {FORMAT + 1} in .*, this version has {FORMAT}"):
        StateFiles(str(tmp_path), SETTINGS).before(1)


def test_other_shuffle_partitions_and_delays_are_refused_by_the_join(tmp_path: Path) -> None:
    def files(**changed: Any) -> StateFiles:
        return StateFiles(str(tmp_path), frozen(StreamingSettings(**changed)))

    files().write(0, States())
    assert files().before(1)
    with pytest.raises(FatalError, match=r"spark\.shuffle_partitions"):
        files(spark=Spark(shuffle_partitions=4)).before(1)
    with pytest.raises(FatalError, match=r"news\.delay_minutes"):
        files(news=News(delay_minutes=5)).before(1)
