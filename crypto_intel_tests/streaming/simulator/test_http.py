"""The simulator's REST pages over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from crypto_intel_tests.streaming.simulator.harness import eventually, simulated
from streaming.errors import FatalError
from streaming.simulator.app import Simulator, build_world
from streaming.simulator.hub import text_message
from streaming.simulator.settings import SimulatorOptions, SimulatorSettings

pytestmark = pytest.mark.stack


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with simulated(tmp_path, trades_per_second=25) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{simulator.rest_port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as opened:
        yield opened


async def test_it_says_that_it_is_well_and_what_it_is(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "ok", "source": "sim"}
    clock = (await client.get("/sim/clock")).json()
    assert (clock["source"], clock["speed"], clock["ended"]) == ("sim", 1.0, False)
    assert (await client.get("/sim/stats")).json()["clients"] == 0


async def test_exchange_info_is_cut_to_the_symbols_asked_for(client: httpx.AsyncClient) -> None:
    every = (await client.get("/api/v3/exchangeInfo")).json()["symbols"]
    one = (await client.get("/api/v3/exchangeInfo", params={"symbols": '["BTCUSDT"]'})).json()["symbols"]
    assert len(every) == 10
    assert [s["symbol"] for s in one] == ["BTCUSDT"]


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/api/v3/exchangeInfo", {"symbols": '["NOPE"]'}, -1121),
        ("/api/v3/exchangeInfo", {"symbols": "BTCUSDT"}, -1100),
        ("/api/v3/historicalTrades", {}, -1121),
        ("/api/v3/historicalTrades", {"symbol": "BTCUSDT", "fromId": "x"}, -1100),
    ],
)
async def test_bad_requests_get_the_venues_errors(
    client: httpx.AsyncClient, path: str, params: dict[str, str], code: int
) -> None:
    answer = await client.get(path, params=params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_trades_by_id_enter_the_ledger(client: httpx.AsyncClient, simulator: Simulator, tmp_path: Path) -> None:
    params = {"symbol": "BTCUSDT", "fromId": 100, "limit": 50}
    trades = (await client.get("/api/v3/historicalTrades", params=params)).json()
    assert [t["id"] for t in trades] == list(range(100, 150))
    file = tmp_path / "run" / "source_ledger.json"
    await eventually(lambda: b"[100,149]" in file.read_bytes())
    ledger = json.loads(file.read_text())
    assert ledger["markets"] == {"binance:BTC-USDT": {"intervals": [[100, 149]], "frames": 0, "unnumbered": 0}}
    assert (await client.get("/sim/ledger")).json() == ledger


async def test_fred_answers_with_vintages(client: httpx.AsyncClient) -> None:
    params = {
        "series_id": "CPIAUCSL",
        "api_key": "x",
        "file_type": "json",
        "realtime_start": "1776-07-04",
        "realtime_end": "9999-12-31",
    }
    body = (await client.get("/fred/series/observations", params=params)).json()
    assert body["count"] > 3_000
    assert body["observations"][0]["realtime_end"] < "9999"
    info = (await client.get("/fred/series", params={**params, "series_id": "DGS10"})).json()
    assert info["seriess"][0]["id"] == "DGS10"


@pytest.mark.parametrize(
    "params",
    [
        {"series_id": "NOPE", "api_key": "x", "file_type": "json"},
        {"series_id": "DGS10", "file_type": "json"},
        {"series_id": "DGS10", "api_key": "x"},
        {"series_id": "DGS10", "api_key": "x", "file_type": "json", "realtime_start": "soon"},
    ],
)
async def test_freds_refusals_have_its_envelope(client: httpx.AsyncClient, params: dict[str, str]) -> None:
    answer = await client.get("/fred/series/observations", params=params)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == 400
    assert answer.json()["error_message"].startswith("Bad Request.")


async def test_fred_limits_requests_to_120_a_minute(client: httpx.AsyncClient) -> None:
    params = {"series_id": "NOPE", "api_key": "x", "file_type": "json"}
    codes = [(await client.get("/fred/series", params=params)).status_code for _ in range(121)]
    assert codes == [400] * 120 + [429]


async def test_an_unknown_fault_is_refused_with_what_is_allowed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sim/inject", json={"kind": "earthquake"})
    assert answer.status_code == 400
    assert "earthquake" in answer.json()["error"]


async def test_injected_rest_errors_hit_venue_pages_only(client: httpx.AsyncClient) -> None:
    await client.post("/sim/inject", json={"kind": "rest_error", "count": 1, "status": 429})
    assert (await client.get("/health")).status_code == 200
    limited = await client.get("/api/v3/exchangeInfo")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    assert (await client.get("/api/v3/exchangeInfo")).status_code == 200


def test_a_replay_without_a_capture_names_the_setting(tmp_path: Path) -> None:
    settings = SimulatorSettings(source="replay", data_dir=tmp_path, simulator=SimulatorOptions())
    with pytest.raises(FatalError, match="CRYPTO_INTEL_SIMULATOR__CAPTURE"):
        build_world(settings)


@pytest.mark.parametrize(("text", "speed"), [("max", 0), ("0", 0), ("20", 20), (2.5, 2.5)])
def test_a_speed_may_be_a_number_or_max(text: object, speed: float) -> None:
    assert SimulatorOptions.model_validate({"speed": text}).speed == speed


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_messages_of_every_length_are_framed_as_the_standard_says(size: int) -> None:
    message = text_message(b"x" * size)
    header = len(message) - size
    assert header == (2 if size < 126 else 4 if size < 65_536 else 10)
    assert message[0] == 0x81
    assert message[1] == (size if size < 126 else 126 if size < 65_536 else 127)
