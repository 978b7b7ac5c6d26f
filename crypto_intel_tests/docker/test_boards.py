"""Boards of Grafana and rules of Prometheus as files: whole, linked to what helps; what the rules do with series."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

BOARDS = ("overview", "feeds", "streaming", "sinks", "api", "dagster")


@pytest.fixture(scope="module")
def prometheus(repo_root: Path) -> Path:
    """The folder of Prometheus' files."""
    return repo_root / "docker" / "prometheus"


@pytest.fixture(scope="module")
def rules(prometheus: Path) -> list[dict[str, Any]]:
    """Every rule."""
    groups = yaml.safe_load((prometheus / "rules" / "platform.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_whole(repo_root: Path, name: str) -> None:
    board = json.loads((repo_root / "docker" / "grafana" / "boards" / f"{name}.json").read_text(encoding="utf-8"))
    assert (board["uid"], board["editable"]) == (name, False)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 0
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "prometheus"
        assert panel["title"] and all(target["expr"] for target in panel["targets"])


def test_the_boards_are_those_that_are_shown(repo_root: Path) -> None:
    found = {path.stem for path in (repo_root / "docker" / "grafana" / "boards").glob("*.json")}
    assert found == set(BOARDS)


def test_every_rule_says_how_urgent_it_is_and_where_its_runbook_stands(
    rules: list[dict[str, Any]], repo_root: Path
) -> None:
    readme = (repo_root / "docker" / "README.md").read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", readme, re.M)
    }
    assert len(rules) == len({rule["alert"] for rule in rules})
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert {"summary", "description"} <= rule["annotations"].keys(), rule["alert"]
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert file == "docker/README.md"
        assert anchor == rule["alert"].lower() and anchor in anchors, rule["alert"]


def test_every_rule_is_tried_with_series_that_fire_it_and_with_some_that_do_not(
    rules: list[dict[str, Any]], prometheus: Path
) -> None:
    tests = yaml.safe_load((prometheus / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    tried = [trial for test in tests for trial in test["alert_rule_test"]]
    fired = {trial["alertname"] for trial in tried if trial.get("exp_alerts")}
    quiet = {trial["alertname"] for trial in tried if not trial.get("exp_alerts")}
    assert fired == quiet == {rule["alert"] for rule in rules}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "config", "laptop.yml"), ("test", "rules", "rules_test.yml")],
    ids=" ".join,
)
def test_promtool_finds_no_fault(prometheus: Path, arguments: tuple[str, ...]) -> None:
    program = shutil.which("promtool") or "promtool"
    done = subprocess.run([program, *arguments], cwd=prometheus, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_names_receivers_and_rules_that_are_there(repo_root: Path, rules: list[dict[str, Any]]) -> None:
    told = yaml.safe_load((repo_root / "docker" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    receivers = {receiver["name"] for receiver in told["receivers"]}
    assert {route["receiver"] for route in [told["route"], *told["route"]["routes"]]} <= receivers
    named = re.findall(r'alertname=~?"([^"]+)"', str(told["inhibit_rules"]))
    assert named
    assert {name for names in named for name in names.split("|")} <= {rule["alert"] for rule in rules}


def test_grafana_is_given_the_source_that_the_boards_name(repo_root: Path) -> None:
    folder = repo_root / "docker" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))["datasources"]
    (boards,) = yaml.safe_load((folder / "dashboards" / "boards.yaml").read_text(encoding="utf-8"))["providers"]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    compose = (repo_root / "docker" / "compose.yaml").read_text(encoding="utf-8")
    assert f"./grafana/boards:{boards['options']['path']}:ro" in compose


def test_every_part_of_ours_is_watched_in_containers(prometheus: Path, repo_root: Path) -> None:
    services = yaml.safe_load((repo_root / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    jobs = yaml.safe_load((prometheus / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    watched = [target.split(":")[0] for job in jobs for target in job["static_configs"][0]["targets"]]
    ours = {name for name, service in services.items() if service["image"].startswith("crypto-intel/")}
    # What Dagster tells is read by the exporter; the simulator and Spark's daemons are nobody's data.
    quiet = {"prepare", "simulator", "spark-master", "spark-worker"} | {name for name in ours if "dagster" in name}
    assert sorted(watched) == sorted((ours - quiet) | {"s3"})


def test_the_laptop_is_watched_on_the_stacks_own_ports(prometheus: Path) -> None:
    from crypto_intel.contracts.parts import TRADE_VENUES
    from crypto_intel.stack.settings import Ports

    ports = Ports()
    jobs = yaml.safe_load((prometheus / "laptop.yml").read_text(encoding="utf-8"))["scrape_configs"]
    watched = {job["job_name"]: [int(t.split(":")[1]) for t in job["static_configs"][0]["targets"]] for job in jobs}
    assert watched == {
        "producers": [getattr(ports, f"metrics_{name}") for name in (*TRADE_VENUES, "pollers")],
        "streaming": [ports.metrics],
        "api": [ports.metrics_api],
        "dashboard": [ports.dashboard],
        "exporter": [ports.exporter],
    }
