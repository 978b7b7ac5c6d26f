"""Playing a recording: every frame once, in order, untouched."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from streaming.errors import FatalError
from streaming.recorder.folder import merged, recorded_files
from streaming.simulator.recording import RecordingBacking, summarise
from streaming.simulator.replayed import symbol_of
from streaming.simulator.venue import Frame

START_NS = 1_723_161_254_000_000_000
ALL = frozenset(["btcusdt@trade", "ethusdt@trade"])

Capture = Callable[[dict[str, list[tuple[int, bytes]]]], Path]


def trade(name: str, trade_id: int, at_ms: int) -> tuple[int, bytes]:
    frame = (
        f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":{at_ms},"s":"{name}","t":{trade_id},'
        f'"p":"2.50000000","q":"1.00000000","T":{at_ms},"m":false,"M":true}}}}'
    )
    return START_NS + at_ms * 1_000_000, frame.encode()


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    """Writes files of (receive time, frame) as a capture."""

    def write(files: dict[str, list[tuple[int, bytes]]]) -> Path:
        for name, frames in files.items():
            with gzip.open(tmp_path / f"spot_{name}.txt.gz", "wb") as out:
                out.writelines(b"%d %s\n" % frame for frame in frames)
        return tmp_path

    return write


@pytest.fixture
def two_symbols(capture: Capture) -> Path:
    """Five trades, a ticker and a snapshot, over 40 ms."""
    return capture(
        {
            "btcusdt": [trade("BTCUSDT", 10, 0), trade("BTCUSDT", 11, 20), trade("BTCUSDT", 12, 40)],
            "ethusdt": [
                (START_NS + 1, b'{"lastUpdateId":1,"bids":[],"asks":[]}'),
                trade("ETHUSDT", 5, 10),
                (START_NS + 11_000_000, b'{"stream":"ethusdt@bookTicker","data":{"u":1}}'),
                trade("ETHUSDT", 6, 30),
            ],
        }
    )


def play(backing: RecordingBacking, streams: frozenset[str] = ALL) -> list[Frame]:
    frames = []
    backing.begin("binance")
    while not backing.has_ended:
        frames += backing.due(streams)
    return frames


def test_frames_of_all_files_come_in_order_of_receipt(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=0)
    assert [(f.market, f.trade_id) for f in play(backing)] == [
        ("binance:BTC-USDT", 10),
        ("binance:ETH-USDT", 5),
        ("binance:BTC-USDT", 11),
        ("binance:ETH-USDT", 6),
        ("binance:BTC-USDT", 12),
    ]


def test_only_subscribed_streams_are_played(two_symbols: Path) -> None:
    frames = play(RecordingBacking(two_symbols, speed=0), frozenset(["ethusdt@bookTicker"]))
    assert [f.payload for f in frames] == [b'{"stream":"ethusdt@bookTicker","data":{"u":1}}']


def test_a_recording_waits_for_its_first_subscription(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=1)
    backing.skip()
    assert backing.anchors.speed == 0
    assert not backing.has_ended
    backing.begin("binance")
    assert backing.anchors.speed == 1
    assert backing.anchors.recording_start_us == START_NS // 1000


def test_without_listeners_a_recording_that_has_begun_goes_on(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=0)
    backing.begin("binance")
    backing.skip()
    assert backing.has_ended


def test_frames_are_held_until_their_time(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=0.001)  # 40 ms take 40 s
    backing.begin("binance")
    assert [f.trade_id for f in backing.due(ALL)] == [10]
    assert not backing.has_ended


def test_the_clock_stands_at_the_end_behind_the_last_frame(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=0)
    play(backing)
    anchors = backing.anchors
    assert anchors.ended
    assert anchors.speed == 0
    assert anchors.recording_start_us == (START_NS + 40_000_000) // 1000


def test_rest_knows_what_was_played_and_nothing_else(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=0.001)
    btc = next(s for s in backing.symbols if s.base == "BTC")
    eth = next(s for s in backing.symbols if s.base == "ETH")
    backing.begin("binance")
    backing.due(ALL)
    assert [t.trade_id for t in backing.trades_from(btc, None, 10)] == [10]
    assert backing.trades_from(eth, None, 10) == []
    assert backing.trades_from(btc, 11, 10) == []


def test_rest_gives_by_id_what_the_stream_gave(two_symbols: Path) -> None:
    backing = RecordingBacking(two_symbols, speed=0)
    play(backing)
    btc = next(s for s in backing.symbols if s.base == "BTC")
    assert [t.trade_id for t in backing.trades_from(btc, 11, 1)] == [11]
    assert [t.trade_id for t in backing.trades_from(btc, 0, 10)] == [10, 11, 12]
    assert backing.trades_from(btc, 10, 1)[0].price_e8 == 250_000_000


def test_another_run_goes_on_behind_the_last_line_played(two_symbols: Path) -> None:
    first = RecordingBacking(two_symbols, speed=0.001)
    first.begin("binance")
    played = [f.trade_id for f in first.due(ALL)]
    second = RecordingBacking(two_symbols, speed=0, resume_ns=first.position)
    assert played + [f.trade_id for f in play(second)] == [10, 5, 11, 6, 12]
    btc = next(s for s in second.symbols if s.base == "BTC")
    assert [t.trade_id for t in second.trades_from(btc, 10, 1)] == [10]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=r"no recording in .*spot_"):
        recorded_files(tmp_path)


def test_a_line_of_another_form_is_named(capture: Capture) -> None:
    folder = capture({"btcusdt": [trade("BTCUSDT", 1, 0)]})
    with gzip.open(folder / "spot_ethusdt.txt.gz", "wb") as out:
        out.write(b"no time here\n")
    with pytest.raises(FatalError, match=r"spot_ethusdt.txt.gz:1"):
        summarise(recorded_files(folder))


@pytest.mark.parametrize(("name", "parts"), [("BTCUSDT", ("BTC", "USDT")), ("ETHBTC", ("ETH", "BTC"))])
def test_base_and_quote_are_told_apart(name: str, parts: tuple[str, str]) -> None:
    assert symbol_of(name)[:2] == parts


def test_an_unknown_quote_asset_is_refused() -> None:
    with pytest.raises(FatalError, match="XYZ"):
        symbol_of("XYZ")


def test_the_real_recording_is_played_whole(shared_data: Path) -> None:
    folder = shared_data / "binance" / "ws_raw"
    backing = RecordingBacking(folder, speed=0)
    frames = play(backing)
    by_market = {m: [f.trade_id for f in frames if f.market == m] for m in {f.market for f in frames}}
    assert {m: len(ids) for m, ids in by_market.items()} == {"binance:BTC-USDT": 19_904, "binance:ETH-USDT": 14_515}
    assert all(ids == list(range(ids[0], ids[-1] + 1)) for ids in by_market.values())
    recorded = [line.payload for line in merged(recorded_files(folder)) if b"@trade" in line.payload[:40]]
    assert [f.payload for f in frames] == recorded
