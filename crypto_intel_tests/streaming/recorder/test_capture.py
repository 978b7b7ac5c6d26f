"""Our own form: every byte comes back, damage is noticed, a file that was cut short is read as far as it goes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.errors import FatalError
from streaming.recorder.capture import (
    PARTIAL,
    SUFFIX,
    CaptureFile,
    Header,
    Record,
    encode,
    read_header,
    read_lines,
    read_records,
)

HEADER = Header("crypto-intel-capture/1", "kraken/v2", "ws://127.0.0.1/v2")
RECORDS = st.builds(
    Record, st.integers(0, 2**62), st.sampled_from("FSCD"), st.binary(max_size=300) | st.just(b"1 F 3 abc\n")
)


def write(folder: Path, blocks: list[list[Record]]) -> Path:
    """A whole file of these blocks."""
    path = folder / f"x{SUFFIX}"
    file = CaptureFile(path, HEADER, 1)
    for block in blocks:
        text = b"".join(map(encode, block))
        file.write(text, records=len(block), messages=len(block), last_ns=9)
    file.close()
    return path


@settings(max_examples=60)
@given(st.lists(st.lists(RECORDS, min_size=1, max_size=5), max_size=4))
def test_every_byte_comes_back(blocks: list[list[Record]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read = list(read_records(write(Path(folder), blocks)))
    assert read[1:] == [record for block in blocks for record in block]
    assert read[0].kind == "H"


def test_only_messages_of_the_venue_are_lines(tmp_path: Path) -> None:
    path = write(tmp_path, [[Record(5, "C", b""), Record(6, "F", b"{}"), Record(7, "D", b"reset")]])
    assert [(line.received_ns, line.protocol, line.payload) for line in read_lines(path, "kraken/v2")] == [
        (6, "kraken/v2", b"{}")
    ]
    assert read_header(path) == HEADER


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_short_is_read_up_to_its_last_whole_block(tmp_path: Path, kept: float) -> None:
    blocks = [[Record(n, "F", b"%d" % n * 50)] for n in range(40)]
    whole = write(tmp_path, blocks).read_bytes()
    cut = tmp_path / f"cut{SUFFIX}{PARTIAL}"
    cut.write_bytes(whole[: int(len(whole) * kept)])
    read = [record for record in read_records(cut) if record.kind == "F"]
    assert read == [block[0] for block in blocks[: len(read)]]
    assert len(read) >= 40 * kept - 4


def test_a_finished_file_that_was_cut_or_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [[Record(1, "F", b"abc" * 100)]])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FatalError, match="damaged"):
        list(read_records(path))


def test_a_newer_form_is_refused_by_name(tmp_path: Path) -> None:
    file = CaptureFile(tmp_path / f"x{SUFFIX}", Header("crypto-intel-capture/9", "binance", ""), 1)
    file.close()
    with pytest.raises(FatalError, match="is of form crypto-intel-capture/9"):
        read_header(tmp_path / f"x{SUFFIX}")


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd program here")
def test_any_zstd_tool_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path, [[Record(5, "F", b'{"a":1}')], [Record(6, "F", b'{"b":2}')]])
    text = subprocess.run([str(shutil.which("zstd")), "-dc", str(path)], capture_output=True, check=True).stdout
    assert text.splitlines()[1:] == [b'5 F 7 {"a":1}', b'6 F 7 {"b":2}']
