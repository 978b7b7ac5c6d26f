"""What can be held of the containers without running them: pins, limits, secrets as files, commands that exist."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from crypto_intel.contracts.parts import VENUES
from crypto_intel.stack.parts import STORES, Part, build_parts
from crypto_intel_tests.crypto_intel.stack.samples import stack

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def docker(repo_root: Path) -> Path:
    """The folder of everything about containers."""
    return repo_root / "docker"


@pytest.fixture(scope="module")
def compose(docker: Path) -> dict[str, Any]:
    """compose.yaml as data."""
    return dict(yaml.safe_load((docker / "compose.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> Services:
    """Every service by name."""
    return dict(compose["services"])


@pytest.fixture(scope="module")
def ours(services: Services) -> Services:
    """Those whose image is built here."""
    return {name: service for name, service in services.items() if service["image"].startswith("crypto-intel/")}


def test_every_foreign_image_has_a_pinned_version(services: Services) -> None:
    images = {service["image"] for service in services.values() if not service["image"].startswith("crypto-intel/")}
    assert len(images) == 9
    assert all(re.search(r":[^:]*\d", image) and not image.endswith(":latest") for image in images), images


def test_ports_are_published_on_loopback_alone_and_none_twice(services: Services) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    published = [port.split(":")[1] for port in ports]
    assert len(set(published)) == len(published)


def test_no_password_stands_in_the_files(services: Services, docker: Path) -> None:
    for service in services.values():
        names = [name for name in service.get("environment", {}) if re.search("PASSWORD|DSN|SECRET", name)]
        assert all(str(service["environment"][name]).lstrip("@").startswith("/run/secrets/") for name in names), names
    for file in ("demo.env", "live.env", ".env"):
        settings = re.findall(
            r"^(\w*(?:KEY|SECRET|PASSWORD|TOKEN)\w*)=(.*)$", (docker / file).read_text(), re.MULTILINE
        )
        assert all(value == "simulated" for _, value in settings)


def test_every_secret_that_a_service_reads_is_drawn_by_the_script(
    compose: dict[str, Any], services: Services, docker: Path
) -> None:
    script = (docker / "make-secrets.sh").read_text(encoding="utf-8")
    asked = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert asked <= set(compose["secrets"])
    assert all(re.search(rf"\b{name}\b", script) for name in compose["secrets"])


def test_every_service_is_bounded_and_says_whether_it_is_well(services: Services) -> None:
    for name, service in services.items():
        assert {"mem_limit", "cpus", "pids_limit", "logging", "healthcheck"} <= service.keys(), name
        if name != "prepare":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_our_containers_can_write_to_their_volume_and_to_memory_alone(ours: Services) -> None:
    for name, service in ours.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert [volume.partition(":")[0] for volume in service["volumes"]] == ["data"], name


def test_what_a_service_waits_for_is_there_and_tells_when_it_is_well(services: Services) -> None:
    for name, service in services.items():
        for other, wish in service.get("depends_on", {}).items():
            assert other in services, (name, other)
            if wish["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], (name, other)
            if services[other].get("profiles"):
                assert wish["required"] is False, f"{name} would not start without the profile of {other}"


def test_files_that_are_mounted_or_built_from_are_there(services: Services, docker: Path) -> None:
    mounts = [volume for service in services.values() for volume in service.get("volumes", []) if volume[0] == "."]
    assert mounts
    assert all((docker / mount.split(":")[0]).exists() for mount in mounts), mounts
    for service in services.values():
        if build := service.get("build"):
            assert (docker / build["context"] / build["dockerfile"]).exists()


def command_of(part: Part) -> list[str]:
    """A part's command from the interpreter on, without addresses, which differ."""
    argv = list(part.command.argv)
    return ["python", *argv[argv.index(sys.executable) + 1 :]]


def bare(command: list[str]) -> list[str]:
    """A command without the values of its address options and files."""
    kept = []
    for before, word in zip(["", *command], command, strict=False):
        if before not in {"-h", "-p", "-w"}:
            kept.append(word)
    return kept


@pytest.mark.parametrize("source", ["sim", "live"])
def test_a_service_runs_what_the_part_of_its_name_runs(ours: Services, tmp_path: Path, source: str) -> None:
    folder, state, servers, _ = stack(tmp_path, source)
    parts = {part.name: part for part in build_parts(state, folder, servers) if part.name not in STORES}
    named = {"streaming" if name == "spark" else name: part for name, part in parts.items()}
    own_to_containers = {"prepare", "spark-master", "spark-worker"} | ({"simulator"} if source == "live" else set())
    assert ours.keys() == named.keys() | own_to_containers
    for name, part in named.items():
        assert bare(ours[name]["command"]) == bare(command_of(part)), name


def test_programs_and_modules_that_services_run_exist(ours: Services) -> None:
    commands = [service["command"] for service in ours.values()]
    modules = {command[command.index("-m") + 1] for command in commands if command[0] == "python"}
    assert all(find_spec(module) for module in modules)
    programs = {command[0] for command in commands} - {"python"}
    checks = {service["healthcheck"]["test"][1] for service in ours.values() if "test" in service["healthcheck"]}
    folder = Path(sys.executable).parent
    assert programs == {"crypto-intel", "spark-class"}
    assert all(shutil.which(program, path=str(folder)) for program in programs | checks - {"healthy", "entrypoint"})


def test_a_demo_is_told_the_simulators_addresses_as_the_laptop_is(docker: Path, tmp_path: Path) -> None:
    from crypto_intel.stack.parts import environment

    folder, state, servers, settings = stack(tmp_path)
    own = environment(state, folder, servers, settings, {})
    told = dict(re.findall(r"^(\w+)=(.*)$", (docker / "demo.env").read_text(encoding="utf-8"), re.MULTILINE))
    venues = "|".join(venue.upper() for venue in VENUES)
    shared = {name for name in own if re.search(f"{venues}|CLOCK|SOURCE", name)}
    assert told.keys() == shared
    for name, value in told.items():
        local = own[name].replace(f"127.0.0.1:{state.ports['simulator_rest']}", "simulator:9080")
        assert value == local.replace(f"127.0.0.1:{state.ports['simulator_ws']}", "simulator:9443"), name
