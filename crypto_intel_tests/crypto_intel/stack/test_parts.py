"""The list of parts: order, what the supervisor is told, and that secrets stay out of files and command lines."""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_intel.stack import parts
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.feeds import SIMULATED_RSS, feeds
from crypto_intel.stack.parts import ALL, PRODUCERS, STOP_WAVES, build_parts, environment
from crypto_intel.stack.state import Folder
from crypto_intel.stack.supervisor_conf import render
from crypto_intel_tests.crypto_intel.stack.samples import recording, stack
from streaming.simulator.rss import PUBLISHERS


def test_every_part_is_started_and_stopped_once() -> None:
    stopped = [name for wave in STOP_WAVES for name in wave]
    assert sorted(stopped) == sorted(ALL)
    assert len(set(ALL)) == len(ALL)


def test_writers_stop_before_what_they_write_to(tmp_path: Path) -> None:
    folder, state, servers, _ = stack(tmp_path)
    priority = {part.name: part.priority for part in build_parts(state, folder, servers)}
    assert priority["producer-binance"] > priority["spark"] > priority["postgres"] > priority["kafka"]


def test_live_runs_no_simulator_and_keeps_the_real_addresses(tmp_path: Path) -> None:
    folder, state, servers, settings = stack(tmp_path, "live")
    assert "simulator" not in [part.name for part in build_parts(state, folder, servers)]
    own = environment(state, folder, servers, settings, {})
    assert not [name for name in own if re.search("URL|SIMULATOR", name) and ("BINANCE" in name or "SIM" in name)]


def test_reads_of_the_api_are_open_for_data_that_is_nobodys_secret_alone(tmp_path: Path) -> None:
    name = "CRYPTO_INTEL_API__OPEN_READS"
    said = {}
    for source, outer in (("sim", {}), ("replay", {name: "false"}), ("live", {})):
        folder, state, servers, settings = stack(tmp_path / source, source)
        said[source] = environment(state, folder, servers, settings, outer).get(name)
    assert said == {"sim": "true", "replay": None, "live": None}


def test_live_passes_the_users_keys_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSAPI_KEY", "mine")
    folder, state, servers, settings = stack(tmp_path, "live")
    assert environment(state, folder, servers, settings, {})["CRYPTO_INTEL_NEWSAPI__KEY"] == "mine"


def test_live_rows_go_to_the_users_supabase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", "postgresql://supabase/postgres")
    folder, state, servers, settings = stack(tmp_path, "live")
    own = environment(state, folder, servers, settings, {})
    assert own["CRYPTO_INTEL_POSTGRES_DSN"] == "postgresql://supabase/postgres"
    assert "127.0.0.1" in own[parts.dagster_home.URL_VARIABLE]  # type: ignore[attr-defined]


def test_simulated_rows_never_reach_the_users_supabase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", "postgresql://supabase/postgres")
    monkeypatch.setenv("SUPABASE_URL", "https://project.supabase.co")
    folder, state, servers, settings = stack(tmp_path)
    own = environment(state, folder, servers, settings, {"SUPABASE_URL": "https://project.supabase.co"})
    assert "supabase" not in own["CRYPTO_INTEL_POSTGRES_DSN"]
    assert own["SUPABASE_URL"] == ""


def test_a_recording_runs_the_producers_of_its_venues_on_their_own_paths(tmp_path: Path) -> None:
    folder, state, servers, settings = stack(tmp_path, "replay")
    assert [p.name for p in build_parts(state, folder, servers) if p.name in PRODUCERS] == [
        "producer-binance",
        "producer-pollers",
    ]
    assert feeds(state) == {"binance", "newsapi", "rss"}
    state.capture = recording(tmp_path / "both", "wss://ws.kraken.com/v2", "wss://stream.binance.com:9443/stream")
    assert feeds(state) == {"binance", "kraken", "newsapi", "rss"}
    own = environment(state, folder, servers, settings, {})
    assert own["CRYPTO_INTEL_KRAKEN__WS_URL"].endswith("/v2")
    assert own["CRYPTO_INTEL_BINANCE__WS_URL"].startswith("ws://127.0.0.1:")


def test_a_folder_without_a_recording_is_named(tmp_path: Path) -> None:
    folder, state, servers, _ = stack(tmp_path, "replay")
    state.capture = tmp_path / "nothing"
    state.capture.mkdir()
    with pytest.raises(StackError, match="no recording in"):
        build_parts(state, folder, servers)


def test_the_names_of_the_simulated_feeds_are_the_simulators() -> None:
    assert {publisher.key: publisher.name for publisher in PUBLISHERS} == SIMULATED_RSS


@pytest.mark.parametrize("source", ["sim", "replay", "live"])
def test_no_secret_is_in_the_supervisors_file(tmp_path: Path, source: str) -> None:
    folder, state, servers, settings = stack(tmp_path, source)
    text = render(build_parts(state, folder, servers), folder, settings.supervision)
    assert "pg-secret" not in text
    assert servers.valkey.url.split(":")[2].split("@")[0] not in text


def test_the_supervisors_file_is_as_it_was(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    folder, state, servers, settings = stack(tmp_path)
    text = render(build_parts(state, folder, servers), folder, settings.supervision)
    text = text.replace(str(folder.socket), str(folder.run / "supervisor.sock"))  # elsewhere where a path is long
    text = text.replace(str(tmp_path), "/tmp/x").replace(sys.executable, "python")  # noqa: S108
    text = re.sub(r"[^\s=]*/(setpriv|unshare|postgres|valkey-server)(?= )", r"\1", text)
    text = text.replace("unshare --user --map-user=1000 --map-group=1000 -- ", "").replace("user=root\n\n", "\n")
    golden("stack_supervisor.conf", text)


def test_a_percent_sign_in_a_path_survives_the_supervisors_file(tmp_path: Path) -> None:
    folder, state, servers, settings = stack(tmp_path / "50% of it")
    text = render(build_parts(state, folder, servers), folder, settings.supervision)
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(text)
    assert parser["program:kafka"]["stdout_logfile"] % {} == str(folder.log("kafka"))


def test_a_path_that_the_supervisor_can_not_carry_is_refused(tmp_path: Path) -> None:
    folder, state, servers, settings = stack(tmp_path / "number #1")
    with pytest.raises(StackError, match="can not carry"):
        render(build_parts(state, folder, servers), folder, settings.supervision)


def test_the_socket_of_a_folder_is_inside_it_when_it_fits() -> None:
    assert Folder(Path("/data")).socket == Path("/data/run/supervisor.sock")


def test_parts_can_be_left_out_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    folder, state, servers, _ = stack(tmp_path)
    left = parts.leave_out(build_parts(state, folder, servers), ["dagster", "spark"])
    assert [part.name for part in left] == [
        "kafka",
        "postgres",
        "valkey",
        "simulator",
        "producer-binance",
        "producer-kraken",
        "producer-pollers",
        "api",
        "dashboard",
        "exporter",
    ]


@pytest.mark.parametrize(("name", "message"), [("sparc", "no part 'sparc'"), ("kaf", "nothing works without")])
def test_what_can_not_be_left_out_is_told(tmp_path: Path, name: str, message: str) -> None:
    folder, state, servers, _ = stack(tmp_path)
    with pytest.raises(StackError, match=message):
        parts.leave_out(build_parts(state, folder, servers), [name])
