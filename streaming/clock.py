"""The platform clock: what time the source says it is.

Live and simulated feeds run on system time; a machine whose clock is far from the venue's is not believed. A replay
runs on the recording's time, `speed` times as fast as the wall, so that freshness, closed hours and receive times of a
recording from 2024 are those of 2024. What belongs here: the formula and how its anchors are fetched. Who serves them:
streaming/simulator, at `GET /sim/clock`.
"""

from __future__ import annotations

import time
from typing import Literal

import httpx
import msgspec
import structlog

from streaming.errors import FatalError, RetryableError

MICROSECONDS = 1_000_000
BELIEVED_S = 30.0
"""A machine's clock may be so far from the venue's; half of what an event may lie ahead of its receipt."""
_TELLING_S = 2.0  # an answer tells its time in whole seconds, and is under way for a moment
_FETCH_TIMEOUT_S = 5.0  # loopback answers in milliseconds; longer means that the simulator is not there


log = structlog.get_logger(__name__)


class Anchors(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line from wall time to platform time; every time is microseconds since 1970 UTC.

    `speed` 0 is a recording that has not begun (or has ended): time stands still. `recording_end_us` bounds the
    line, since nothing is known about the time behind a recording's end.
    """

    source: Literal["sim", "replay", "live"] = "live"
    recording_start_us: int = 0
    wall_anchor_us: int = 0
    speed: float = 1.0
    ended: bool = False
    recording_end_us: int | None = None


SYSTEM_TIME = Anchors()
"""Platform time is wall time."""


def wall_us() -> int:
    """The machine's own clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def time_at(anchors: Anchors, wall: int) -> int:
    """Platform time in microseconds at `wall` microseconds."""
    elapsed = max(wall - anchors.wall_anchor_us, 0)
    now = anchors.recording_start_us + (elapsed if anchors.speed == 1.0 else int(elapsed * anchors.speed))
    return now if anchors.recording_end_us is None else min(now, anchors.recording_end_us)


class PlatformClock:
    """Tells platform time; of a replay as of the last `refresh`.

    Args:
        url: where anchors are served; None means system time.
    """

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        self._is_served = True
        self._skew_us = 0
        self.anchors = SYSTEM_TIME

    def now_us(self) -> int:
        """Platform time in microseconds since 1970 UTC."""
        return time_at(self.anchors, wall_us() + self._skew_us)

    def hold_to(self, told_us: int) -> None:
        """Hold the machine's clock to the venue's, which dates the trades: one that is BELIEVED_S off is corrected.

        Args:
            told_us: what the venue just said that the time is, in microseconds.
        """
        apart = told_us - wall_us()
        skew = apart if abs(apart) > BELIEVED_S * MICROSECONDS else 0
        if abs(skew - self._skew_us) <= _TELLING_S * MICROSECONDS:
            return
        self._skew_us = skew
        if skew:
            log.error("this machine's clock is wrong; the venue's is used", machine_is_behind_s=skew / MICROSECONDS)
        else:
            log.info("this machine's clock is right again")

    @property
    def is_replay(self) -> bool:
        """Whether time is a recording's."""
        return self.anchors.source == "replay"

    @property
    def has_ended(self) -> bool:
        """Whether the recording was played to its end."""
        return self.anchors.ended

    def refresh(self) -> None:
        """Fetch the anchors again, blocking; without an address nothing is done.

        Raises:
            RetryableError: the simulator does not answer.
            FatalError: what answers is not a clock.
        """
        if self._url:
            with httpx.Client(timeout=_FETCH_TIMEOUT_S, trust_env=False) as client:
                try:
                    response = client.get(self._url)
                except httpx.TransportError as error:
                    raise _unreachable(self._url, error) from error
            self.anchors = _anchors(response, self._url)

    async def try_refresh(self, client: httpx.AsyncClient) -> None:
        """Fetch the anchors again if they can be had; otherwise the clock runs on by those it has.

        Raises:
            FatalError: what answers is not a clock.
        """
        try:
            await self.refresh_async(client)
        except RetryableError as error:
            if self._is_served:
                log.warning("platform clock runs on by itself", reason=str(error))
            self._is_served = False
        else:
            self._is_served = True

    async def refresh_async(self, client: httpx.AsyncClient) -> None:
        """Fetch the anchors again; raises as `refresh` does."""
        if self._url:
            try:
                response = await client.get(self._url, timeout=_FETCH_TIMEOUT_S)
            except httpx.TransportError as error:
                raise _unreachable(self._url, error) from error
            self.anchors = _anchors(response, self._url)


def _unreachable(url: str, error: httpx.TransportError) -> RetryableError:
    return RetryableError(f"no platform clock at {url}: {type(error).__name__} {error}")


def _anchors(response: httpx.Response, url: str) -> Anchors:
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise RetryableError(f"the platform clock at {url} answers {response.status_code}")
    try:
        return msgspec.json.decode(response.content, type=Anchors)
    except msgspec.DecodeError as error:
        raise FatalError(f"what answers at {url} is no platform clock: {error}") from error
