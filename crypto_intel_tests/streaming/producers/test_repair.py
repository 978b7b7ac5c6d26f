"""Missing trades fetched by REST: what comes, what is waited for, what is gone, what is tried again later."""

from __future__ import annotations

import asyncio

import pytest

from crypto_intel_tests.streaming.producers.harness import MemorySink, eventually
from crypto_intel_tests.streaming.producers.scripted import BTC, ScriptedVenue
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput, RetryableError
from streaming.producers import repair as repair_module
from streaming.producers.gaps import Gap, IdTracker
from streaming.producers.http import RequestRefused
from streaming.producers.repair import Repairer
from streaming.producers.repair_settings import Repair
from streaming.producers.venue import Mark
from streaming.producers.voice import Voice


class Repairing:
    """A repairer that knows trade 10 as the last one."""

    def __init__(self, venue: ScriptedVenue, **settings: float) -> None:
        self.sink = MemorySink()
        clock = PlatformClock()
        self.ids = IdTracker({BTC: Mark(10, 10)})
        self.repairer = Repairer(
            Repair.model_validate({"budget_s": 1.0, "late_wait_s": 0.02, "late_wait_max_s": 0.05, **settings}),
            venue,
            clock,
            Voice("binance", self.sink, clock),
            ids=self.ids,
            names={BTC: "BTCUSDT"},
            write=self.sink.trade,
        )

    def told(self, status: str) -> list[tuple[int | None, int | None]]:
        return [(s.first_id, s.last_id) for s in self.sink.statuses(status)]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "_SURE_S", 0.01)
    monkeypatch.setattr(repair_module, "_ASK_AGAIN_S", 0.01)


async def test_exactly_the_missing_ones_are_written_in_order() -> None:
    here = Repairing(ScriptedVenue(range(1, 3_000)))
    await here.repairer.fill(BTC, Gap(11, 2_500, 10))
    assert here.sink.ids(BTC) == list(range(11, 2_501))
    assert here.told("gap") == here.told("repaired") == [(11, 2_500)]
    assert here.repairer.open.ids == 0


async def test_what_fails_first_is_waited_out_within_the_budget() -> None:
    venue = ScriptedVenue(range(1, 30))
    busy = RetryableError("HTTP 429")
    venue.failures = [busy, None, busy, None, RejectedInput("malformed_json", "x"), None]
    here = Repairing(venue)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    assert here.sink.ids(BTC) == list(range(11, 21))
    assert here.told("repaired") == [(11, 20)]
    assert [reject.reason for reject in here.sink.rejected()] == ["malformed_json"]


async def test_what_is_not_back_in_time_stays_open_with_the_last_reason() -> None:
    venue = ScriptedVenue(range(1, 15))
    here = Repairing(venue, budget_s=0.1)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    assert here.told("repaired") == [(11, 14)]
    assert here.repairer.open.gaps == {BTC: [Gap(15, 20, 14)]}
    assert "not done in 0.1 s: the venue gives none" in here.sink.statuses("poll")[0].detail


async def test_a_venue_that_answers_again_is_said_to_once() -> None:
    venue = ScriptedVenue(range(1, 15))
    here = Repairing(venue, budget_s=0.1)
    await here.repairer.fill(BTC, Gap(11, 12, 10))
    assert here.sink.statuses("poll") == []
    await here.repairer.fill(BTC, Gap(13, 20, 12))
    venue.ids |= set(range(15, 31))
    await here.repairer.retry_once()
    await here.repairer.fill(BTC, Gap(21, 24, 20))
    details = [status.detail for status in here.sink.statuses("poll") if status.stream == "rest"]
    assert [detail.split(":")[0] for detail in details] == ["could not fetch trades", "ok"]


async def test_a_refusal_ends_the_try_at_once() -> None:
    venue = ScriptedVenue(range(1, 30))
    venue.failures = [RequestRefused(400, b"no such market")]
    here = Repairing(venue, budget_s=30)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    assert here.repairer.open.ids == 10
    assert "no such market" in here.sink.statuses("poll")[0].detail


async def test_ids_that_two_answers_skip_are_unrecoverable() -> None:
    venue = ScriptedVenue(set(range(1, 30)) - {13, 14, 20})
    here = Repairing(venue)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    assert here.sink.ids(BTC) == [11, 12, 15, 16, 17, 18, 19]
    assert here.told("unrecoverable") == [(13, 14), (20, 20)]
    assert here.told("repaired") == [(11, 12), (15, 19)]
    assert "skip" in here.sink.statuses("unrecoverable")[0].detail
    assert here.repairer.open.ids == 0


async def test_ids_that_only_one_answer_skips_are_taken_from_the_other() -> None:
    venue = ScriptedVenue(set(range(1, 30)) - {13})
    venue.on_answer = lambda: venue.ids.add(13)  # a replica of the venue catches up
    here = Repairing(venue)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    assert here.sink.ids(BTC) == list(range(11, 21))
    assert here.told("unrecoverable") == []


async def test_ids_that_are_not_there_yet_are_not_gone() -> None:
    here = Repairing(ScriptedVenue(range(1, 12)), budget_s=0.05)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    assert here.told("unrecoverable") == []
    assert here.repairer.open.gaps == {BTC: [Gap(12, 20, 11)]}


async def test_open_gaps_are_tried_again_in_the_background_until_they_are_filled() -> None:
    venue = ScriptedVenue(range(1, 13))
    here = Repairing(venue, budget_s=0.05)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    retrying = asyncio.create_task(here.repairer.retry_open())
    venue.ids |= set(range(13, 31))
    await eventually(lambda: here.repairer.open.ids == 0, 5)
    retrying.cancel()
    assert here.sink.ids(BTC) == list(range(11, 21))
    assert here.told("gap") == [(11, 20)]
    assert here.told("repaired") == [(11, 12), (13, 20)]


async def test_what_stays_open_too_long_is_left_to_others() -> None:
    venue = ScriptedVenue([])
    here = Repairing(venue, budget_s=0.02, late_s=0)
    await here.repairer.fill(BTC, Gap(11, 20, 10))
    asked = len(venue.asked)
    retrying = asyncio.create_task(here.repairer.retry_open())
    await asyncio.wait({retrying}, timeout=0.2)
    retrying.cancel()
    assert len(venue.asked) == asked
    assert here.repairer.open.ids == 10


async def test_a_large_gap_is_fetched_from_its_newest_ids_and_the_rest_later() -> None:
    here = Repairing(ScriptedVenue(range(1, 200)), limit_ids=40)
    await here.repairer.fill(BTC, Gap(11, 110, 10))
    assert here.told("repaired") == [(71, 110)]
    await here.repairer.retry_once()
    await here.repairer.retry_once()
    assert sorted(here.sink.ids(BTC)) == list(range(11, 111))
    assert here.repairer.open.ids == 0


async def test_where_ids_cannot_be_sought_a_large_gap_is_walked_from_its_start() -> None:
    here = Repairing(ScriptedVenue(range(1, 200), seeks_by_id=False), limit_ids=40)
    await here.repairer.fill(BTC, Gap(11, 110, 10))
    assert here.told("repaired") == [(11, 50)]
    assert here.repairer.open.gaps == {BTC: [Gap(51, 110, 50)]}


async def test_catching_up_takes_the_streams_beginning_for_granted_when_it_is_known() -> None:
    venue = ScriptedVenue(range(1, 30))
    here = Repairing(venue)
    joined: asyncio.Future[Mark] = asyncio.get_running_loop().create_future()
    joined.set_result(Mark(15, 16))
    await here.repairer.catch_up(BTC, joined, 0)
    assert here.sink.ids(BTC) == [11, 12, 13, 14, 15]
    assert here.ids.last[BTC].trade_id == 15


async def test_catching_up_asks_the_venue_when_no_frame_comes() -> None:
    here = Repairing(ScriptedVenue(range(1, 30)))
    joined: asyncio.Future[Mark] = asyncio.get_running_loop().create_future()
    await here.repairer.catch_up(BTC, joined, 0.01)
    assert here.sink.ids(BTC) == list(range(11, 30))
