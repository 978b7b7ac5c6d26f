"""One bounded try at what stayed missing: what is asked for, what is told, where it stops."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from crypto_intel_tests.streaming.producers.harness import MemorySink
from crypto_intel_tests.streaming.producers.scripted import BTC, ScriptedVenue
from streaming.clock import PlatformClock
from streaming.errors import RetryableError
from streaming.producers import repair as repair_module
from streaming.producers.gaps import Gap
from streaming.producers.http import RequestRefused
from streaming.producers.missing import Missing, Refetched
from streaming.producers.refetch import Refetcher
from streaming.producers.settings import ProducerSettings


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "_SURE_S", 0.01)
    monkeypatch.setattr(repair_module, "_ASK_AGAIN_S", 0.01)


def missing(first: int, last: int, symbol: str = BTC, since: int = 1) -> Missing:
    return Missing(symbol, Gap(first, last, since))


async def fetched(
    venue: ScriptedVenue, wanted: Sequence[Missing], here: Sequence[Missing] = (), budget_s: float = 1.0
) -> tuple[Refetched, MemorySink]:
    sink = MemorySink()
    settings = ProducerSettings.model_validate({"refetch": {"budget_s": budget_s}, "repair": {"budget_s": 0.001}})
    done = await Refetcher(settings, venue, PlatformClock(), sink, "binance").fetch(wanted, here)
    assert sink.flushes == 1
    assert sink.heartbeats() == [] and sink.statuses("gap") == []
    return done, sink


def told(sink: MemorySink, status: str) -> list[tuple[int | None, int | None]]:
    return [(one.first_id, one.last_id) for one in sink.statuses(status)]


async def test_exactly_the_missing_ids_are_written_and_told_as_repaired() -> None:
    done, sink = await fetched(ScriptedVenue(range(1, 3_000)), [missing(11, 1_500), missing(2_000, 2_009)])
    assert sink.ids(BTC) == [*range(11, 1_501), *range(2_000, 2_010)]
    assert told(sink, "repaired") == [(11, 1_500), (2_000, 2_009)]
    assert [(one.found, one.gone, one.left) for one in done.brought] == [(1_490, 0, 0), (10, 0, 0)]
    assert (done.busy, [one.refused for one in done.brought]) == ("", ["", ""])
    assert [one.detail for one in sink.statuses("poll")] == ["ok: it answers again"]  # another said that it does not


async def test_what_the_venue_no_longer_has_is_told_as_gone() -> None:
    done, sink = await fetched(ScriptedVenue({*range(1, 30)} - {13, 14}), [missing(11, 20)])
    assert told(sink, "unrecoverable") == [(13, 14)]
    assert [(one.found, one.gone, one.left) for one in done.brought] == [(8, 2, 0)]


async def test_ids_that_are_here_are_told_and_not_asked_for() -> None:
    venue = ScriptedVenue(range(1, 30))
    done, sink = await fetched(venue, [], [missing(11, 15)])
    assert (venue.asked, done.brought, sink.trades()) == ([], [], [])
    assert told(sink, "repaired") == [(11, 15)]


async def test_a_busy_venue_ends_the_try_and_what_came_is_kept() -> None:
    venue = ScriptedVenue(range(1, 13))
    done, sink = await fetched(venue, [missing(11, 20), missing(30, 40)], budget_s=0.1)
    assert [(one.missing.gap.first, one.found, one.left) for one in done.brought] == [(11, 2, 8)]
    assert "the venue gives none" in done.busy
    assert told(sink, "repaired") == [(11, 12)]
    venue.failures = [RetryableError("HTTP 429")] * 1_000
    done, sink = await fetched(venue, [missing(11, 12)], budget_s=0.1)
    assert "HTTP 429" in done.busy and sink.trades() == []


async def test_a_refusal_is_of_its_market_and_the_others_are_fetched() -> None:
    venue = ScriptedVenue(range(1, 30))
    venue.failures = [RequestRefused(400, b"no such id")]
    done, _ = await fetched(venue, [missing(11, 12), missing(13, 14), missing(1, 2, "XRP-USDT")])
    assert [(one.missing.symbol, one.found) for one in done.brought] == [(BTC, 0), ("XRP-USDT", 0)]
    assert ["no such id" in one.refused for one in done.brought] == [True, False]
    assert "does not offer" in done.brought[1].refused
    assert done.busy == ""


async def test_where_ids_are_sought_by_time_a_gap_without_a_trade_before_it_is_left() -> None:
    venue = ScriptedVenue(range(15, 30), seeks_by_id=False)
    done, sink = await fetched(venue, [missing(11, 20, since=0)])
    assert venue.asked == [] and told(sink, "unrecoverable") == []
    assert "no trade before" in done.brought[0].refused


def test_a_gap_is_left_to_its_producer_until_its_own_tries_are_over() -> None:
    assert ProducerSettings().refetch_after_s == 90
    changed = {"repair": {"budget_s": 10, "late_wait_s": 5}}
    assert ProducerSettings.model_validate(changed).refetch_after_s == 25
    assert ProducerSettings.model_validate({**changed, "refetch": {"after_s": 1}}).refetch_after_s == 1
