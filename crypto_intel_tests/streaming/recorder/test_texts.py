"""Text forms that others record, real ones where they are."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from streaming.errors import FatalError
from streaming.recorder.folder import merged, recorded_files
from streaming.recorder.lines import protocol_of_url
from streaming.recorder.texts import form_of, read_text
from streaming.simulator.recording import RecordingBacking, summarise

CRYPTOFEED = """configuration: {"trades":["BTC-USD"]}
wss://ws.kraken.com <-> 1617666422.644768
wss://ws.kraken.com <- 1617666423.124183: {"event":"subscribe"}
1617666423.2302258: {"event":"heartbeat"}
https://api.kraken.com/0/public/AssetPairs -> 1618678132.358447: {"error":[]}
1617666424: [321,[["1.0","2.0","1617666424.5","b","m",""]],"trade","XBT/USD"]
"""


def test_cryptofeed_lines_keep_nanoseconds_and_leave_out_what_was_not_heard(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(CRYPTOFEED)
    assert form_of(path) == "cryptofeed"
    lines = list(read_text(path, "cryptofeed"))
    assert [line.received_ns for line in lines] == [1617666423230225800, 1617666424000000000]
    assert {line.protocol for line in lines} == {"kraken/v1"}
    assert lines[0].payload == b'{"event":"heartbeat"}'


def test_json_lines_keep_the_raw_message(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"recv_ns":17,"raw":{"stream":"btcusdt@trade", "data":{}}}\n')
    assert [(form_of(path), *line[::2]) for line in read_text(path, "jsonl")] == [
        ("jsonl", 17, b'{"stream":"btcusdt@trade", "data":{}}')
    ]


def test_a_line_of_another_form_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(CRYPTOFEED + "something else\n")
    with pytest.raises(FatalError, match=r"x\.txt:7"):
        list(read_text(path, "cryptofeed"))


def test_files_that_are_no_recordings_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "deeper").mkdir()
    with gzip.open(tmp_path / "deeper" / "x.txt.gz", "wt") as file:
        file.write(CRYPTOFEED)
    assert [file.path.name for file in recorded_files(tmp_path)] == ["x.txt.gz"]


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("wss://stream.binance.com:9443/stream?streams=btcusdt@trade", "binance"),
        ("wss://ws.kraken.com", "kraken/v1"),
        ("wss://ws.kraken.com/v2", "kraken/v2"),
        ("ws://127.0.0.1:9443/v2", "kraken/v2"),
        ("wss://elsewhere.example/x", None),
    ],
)
def test_the_address_tells_the_protocol(url: str, protocol: str | None) -> None:
    assert protocol_of_url(url) == protocol


def test_every_recording_of_kraken_is_read(shared_data: Path) -> None:
    files = recorded_files(shared_data / "kraken" / "ws_v1_raw")
    summary = summarise(files)
    assert (len(files), summary.protocols, summary.venues) == (4, ["kraken/v1"], {"kraken"})
    assert "kraken:BTC-USD" in {symbol.market for symbol in summary.symbols}
    backing = RecordingBacking(shared_data / "kraken" / "ws_v1_raw", speed=0)
    backing.begin("kraken")
    trades = 0
    while not backing.has_ended:
        streams = frozenset(f"v1/trade/{symbol.name}" for symbol in backing.symbols)
        trades += sum(frame.unnumbered for frame in backing.due(streams))
    raw = [line.payload for file in files for line in file.lines() if b',"trade","' in line.payload]
    assert trades == sum(payload.count(b'","l","') + payload.count(b'","m","') for payload in raw) > 0


def test_every_recording_of_binance_is_read(shared_data: Path) -> None:
    folder = shared_data / "binance" / "ws_cryptofeed"
    read = Counter(line.protocol for line in merged(recorded_files(folder)))
    heard = 0
    for path in folder.glob("*.txt.gz"):
        with gzip.open(path) as lines:
            heard += sum(line[:10].isdigit() for line in lines)
    assert read == {"binance": heard}
    assert heard > 4_900
