"""Whether everything that was sent has come through, and what is wrong with it: the lake and what is served."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from crypto_intel_tests.chaos.judgement import Verdict, bar_count, bronze_count, judge, pair_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.served import Served, is_served, judge_served


class Judged(Served, Protocol):
    """What ran: an application, or queries in this process."""

    @property
    def lake(self) -> Path:
        """Its lake."""


class Sent(Protocol):
    """What was sent."""

    acked: dict[tuple[str, int, int], bytes]


def is_whole(ran: Judged, sender: Sent, load: Load) -> bool:
    """Whether the lake has every acknowledged record, all bars and pairs, and PostgreSQL too: by counts, cheaply."""
    if "ingest" in ran.queries and not _has_all(ran.lake, sender.acked, load):
        return False
    if "bar_news" in ran.queries and pair_count(ran.lake) < len(load.pairs()):
        return False
    return is_served(ran, load)


def _has_all(lake: Path, acked: Mapping[tuple[str, int, int], bytes], load: Load) -> bool:
    return bronze_count(lake) >= len(acked) and bar_count(lake) >= load.bars().height


def verdict_of(ran: Judged, sender: Sent, load: Load) -> Verdict:
    """The lake, and what is served, held to the ledger and the oracle."""
    verdict = judge(ran.lake, sender.acked, load, with_pairs="bar_news" in ran.queries)
    verdict.join(judge_served(ran, load))
    return verdict
