"""The short forms of the runs by hand: each kind of cut once, a fifth of the gaps, both venues."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crypto_intel_tests.chaos import cuts, gaps

pytestmark = pytest.mark.stack


CUTS = {"binance": tuple(cuts.KINDS), "kraken": ("reset", "close", "silence", "handshake")}


async def test_every_kind_of_cut_is_noticed_healed_and_costs_no_trade(tmp_path: Path) -> None:
    # Both at once: most of it is waiting.
    reports = await asyncio.gather(
        *(cuts.run(tmp_path / venue, len(kinds), venue, kinds) for venue, kinds in CUTS.items())
    )
    for report in reports:
        assert report.is_good, report
        assert report.handed_over == ("forced" in CUTS[report.venue])


@pytest.mark.parametrize("venue", ["binance", "kraken"])
async def test_gaps_repeats_and_disorder_cost_no_trade(tmp_path: Path, venue: str) -> None:
    report = await gaps.run(tmp_path, 20_000, venue)
    assert report.is_good, report
    assert report.missing
    assert report.open_ids == 0
