"""How much a client may ask: a sliding window a minute, counted in this process, or in Redis for several of them."""

from __future__ import annotations

import math
import time

import limits
import structlog
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr

from crypto_intel.serving.api.auth import Caller
from crypto_intel.serving.api.problems import ProblemError

FAILURES_PER_MINUTE = 60
"""Bad credentials an address may try; each costs a look-up."""

RETRY_REDIS_S = 5.0
"""While Redis is away, the process counts by itself for so long before it asks again."""

log = structlog.get_logger(__name__)


class Limiter:
    """Counts requests by caller.

    Args:
        per_minute: for callers whose key says nothing else.
        redis_url: where several API processes count together; it costs two round trips a request.
    """

    def __init__(self, per_minute: int, redis_url: SecretStr | None = None) -> None:
        self._default = limits.RateLimitItemPerMinute(per_minute)
        self._failures = limits.RateLimitItemPerMinute(FAILURES_PER_MINUTE)
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(_redis(redis_url)) if redis_url else None
        self._redis_again_at = 0.0

    async def take(self, caller: Caller) -> dict[str, str]:
        """Count one request; headers that tell what is left.

        Raises:
            ProblemError: 429, with Retry-After.
        """
        item = limits.RateLimitItemPerMinute(caller.rate_per_minute) if caller.rate_per_minute else self._default
        allowed, left, wait_s = await self._hit(item, caller.identity)
        headers = {
            "RateLimit-Limit": str(item.amount),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(wait_s),
        }
        if not allowed:
            detail = f"at most {item.amount} requests a minute; try again in {wait_s} s"
            problem = ProblemError(429, "rate-limited", detail, Retry_After=str(wait_s))
            problem.headers |= headers
            raise problem
        return headers

    async def take_failure(self, address: str) -> None:
        """Count one bad credential.

        Raises:
            ProblemError: 429 after too many.
        """
        allowed, _, wait_s = await self._hit(self._failures, f"failed:{address}")
        if not allowed:
            raise ProblemError(429, "rate-limited", "too many bad credentials", Retry_After=str(wait_s))

    async def _hit(self, item: limits.RateLimitItem, identity: str) -> tuple[bool, int, int]:
        if self._shared and time.monotonic() >= self._redis_again_at:
            try:
                return await _hit(self._shared, item, identity)
            except Exception as error:
                log.warning("redis is away; requests are counted in this process", error=type(error).__name__)
                self._redis_again_at = time.monotonic() + RETRY_REDIS_S
        return await _hit(self._local, item, identity)


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, item: limits.RateLimitItem, identity: str
) -> tuple[bool, int, int]:
    allowed = await limiter.hit(item, "api", identity)
    window = await limiter.get_window_stats(item, "api", identity)
    return allowed, window.remaining, max(1, math.ceil(window.reset_time - time.time()))


def _redis(url: SecretStr) -> Storage:
    # The library takes the address with a prefix that names the client package.
    return RedisStorage(
        f"async+{url.get_secret_value()}",
        implementation="redispy",
        wrap_exceptions=False,
        key_prefix="crypto-intel:limits",
        socket_timeout=0.2,
        socket_connect_timeout=0.2,
    )
