"""A venue that trades is named in several places: each of them must know every one.

The name in `TRADE_VENUES` alone makes these fail, one by one, until the venue is whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.stack.feeds import producers, ws_paths
from crypto_intel.stack.settings import Ports
from crypto_intel_tests.crypto_intel.stack.samples import stack
from streaming.producers.settings import ProducerSettings
from streaming.producers.trades import MAKERS, maker_of
from streaming.recorder.lines import VENUES, Protocol
from streaming.recorder.recorder import endpoint_of
from streaming.simulator.chaos import WEBSOCKET_VENUES

pytestmark = pytest.mark.parametrize("venue", TRADE_VENUES)


def test_its_producer_can_be_made_with_settings_of_its_own(venue: str) -> None:
    assert venue in MAKERS
    settings = ProducerSettings()
    maker = maker_of(settings, venue)
    assert (maker.name, maker.options) == (venue, getattr(settings, venue))


def test_its_messages_can_be_recorded(venue: str) -> None:
    assert endpoint_of(venue, ProducerSettings(), ["BTC-USD"], None).url.startswith("wss://")
    assert venue in VENUES.values()
    assert set(VENUES) == set(get_args(Protocol))


def test_the_simulator_speaks_it_and_lets_it_fail(venue: str, tmp_path: Path) -> None:
    _, state, _, _ = stack(tmp_path)
    assert venue in ws_paths(state)
    assert venue in WEBSOCKET_VENUES


def test_it_runs_as_a_part_with_figures_of_its_own(venue: str, tmp_path: Path) -> None:
    _, state, _, _ = stack(tmp_path, "live")
    assert producers(state)[f"producer-{venue}"] == (venue,)
    assert f"metrics_{venue}" in Ports.model_fields


def test_lineage_begins_at_it(venue: str, repo_root: Path) -> None:
    feeds = (repo_root / "crypto_intel" / "defs" / "sources" / "feeds.py").read_text(encoding="utf-8")
    assert re.search(rf'observed_feed\("{venue}"', feeds)


def test_its_containers_are_told_and_watched(venue: str, repo_root: Path) -> None:
    docker = repo_root / "docker"
    demo = (docker / "demo.env").read_text(encoding="utf-8")
    assert {f"CRYPTO_INTEL_{venue.upper()}__{url}_URL" for url in ("WS", "REST")} <= set(
        re.findall(r"^(\w+)=", demo, re.M)
    )
    assert f"\n  producer-{venue}:" in (docker / "compose.yaml").read_text(encoding="utf-8")
    assert f'"producer-{venue}:9464"' in (docker / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
