"""The platform clock: a straight line between wall time and the source's time."""

from __future__ import annotations

import httpx
import pytest

from streaming.clock import Anchors, PlatformClock, time_at, wall_us
from streaming.errors import FatalError, RetryableError


def test_without_an_address_platform_time_is_system_time() -> None:
    clock = PlatformClock()
    before = wall_us()
    assert before <= clock.now_us() <= wall_us()
    clock.refresh()
    assert not clock.is_replay


def test_a_replay_runs_speed_times_as_fast_from_its_anchor() -> None:
    anchors = Anchors(source="replay", recording_start_us=1_000_000, wall_anchor_us=50, speed=20.0)
    assert time_at(anchors, 50) == 1_000_000
    assert time_at(anchors, 150) == 1_000_000 + 100 * 20


@pytest.mark.parametrize("off_s", [600, -600])
def test_a_machine_whose_clock_is_far_off_is_corrected_by_what_the_venue_says(off_s: int) -> None:
    clock = PlatformClock()
    clock.hold_to(wall_us() + off_s * 1_000_000)
    assert abs(clock.now_us() - wall_us() - off_s * 1_000_000) < 1_000_000
    before = clock.now_us()
    clock.hold_to(wall_us() + (off_s - 1) * 1_000_000)  # told in whole seconds: no reason to jump
    assert clock.now_us() >= before
    clock.hold_to(wall_us() - 1_000_000)  # somebody has set it right
    assert abs(clock.now_us() - wall_us()) < 1_000_000


def test_a_machine_that_is_a_little_off_is_believed() -> None:
    clock = PlatformClock()
    clock.hold_to(wall_us() + 20_000_000)
    assert abs(clock.now_us() - wall_us()) < 1_000_000


def test_before_its_anchor_a_recording_stands_at_its_start() -> None:
    anchors = Anchors(source="replay", recording_start_us=7, wall_anchor_us=1_000, speed=2.0)
    assert time_at(anchors, 10) == 7


def test_a_recording_that_has_not_begun_stands_still() -> None:
    anchors = Anchors(source="replay", recording_start_us=7, wall_anchor_us=0, speed=0.0)
    assert time_at(anchors, 10**15) == 7


def test_time_does_not_run_past_a_recordings_end() -> None:
    anchors = Anchors(source="replay", recording_start_us=0, speed=1e6, recording_end_us=99)
    assert time_at(anchors, wall_us()) == 99


def test_microseconds_of_today_keep_their_precision() -> None:
    now = 1_795_258_119_370_431
    assert time_at(Anchors(), now) == now


def test_a_clock_that_is_away_can_be_asked_again(unused_tcp_port: int) -> None:
    with pytest.raises(RetryableError, match="no platform clock"):
        PlatformClock(f"http://127.0.0.1:{unused_tcp_port}/sim/clock").refresh()


async def test_something_else_at_the_address_is_fatal() -> None:
    clock = PlatformClock("http://clock/")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(FatalError, match="no platform clock"):
            await clock.refresh_async(client)


async def test_a_lost_clock_runs_on_by_the_anchors_it_has() -> None:
    clock = PlatformClock("http://clock/")
    anchors = b'{"source":"replay","recording_start_us":5,"wall_anchor_us":0,"speed":0}'
    answers = iter([httpx.Response(200, content=anchors), httpx.Response(503)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: next(answers))) as client:
        await clock.refresh_async(client)
        await clock.try_refresh(client)
    assert clock.is_replay
    assert clock.now_us() == 5
