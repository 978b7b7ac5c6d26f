"""What can be held of the containers without running them: pins, loopback, secrets as files, commands that exist."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]


@pytest.fixture(scope="module")
def compose(repo_root: Path) -> dict[str, Any]:
    """docker/compose.yaml as data."""
    return dict(yaml.safe_load((repo_root / "docker" / "compose.yaml").read_text(encoding="utf-8")))


def test_every_foreign_image_has_a_pinned_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()} - {"crypto-intel:local"}
    assert images
    for image in images:
        tag = image.partition(":")[2]
        assert any(digit in tag for digit in "0123456789"), image


def test_ports_are_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_stands_in_the_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        names = [name for name in service.get("environment", {}) if "PASSWORD" in name or "DSN" in name]
        assert all(name.endswith("_FILE") for name in names)


def test_every_long_running_service_is_bounded_and_restarted(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name != "prepare":
            assert service["restart"] == "unless-stopped", name
            assert "mem_limit" in service, name


def test_python_modules_that_services_run_exist(compose: dict[str, Any]) -> None:
    commands = [service.get("command", []) for service in compose["services"].values()]
    modules = [command[command.index("-m") + 1] for command in commands if command[:1] == ["python"]]
    assert {"streaming.simulator", "streaming.producers", "streaming.jobs"} <= set(modules)
    assert all(find_spec(module) for module in modules)
