"""Whether a part answers: one small question for each kind of server, none of which changes anything."""

from __future__ import annotations

import http.client
import os
from typing import Literal

from pydantic import BaseModel

from crypto_intel.stack.ports import LOOPBACK, answers

Kind = Literal["tcp", "http", "postgres", "redis"]


class Probe(BaseModel):
    """What to ask. `grace_s`: how long after a start no answer is no fault."""

    kind: Kind
    port: int
    path: str = "/"
    grace_s: float = 30


def ask(probe: Probe, timeout_s: float = 3.0) -> bool:
    """True when the part answers in time. Secrets come from the environment that the stack gives its processes."""
    if probe.kind == "http":
        return _http(probe, timeout_s)
    if probe.kind == "postgres":
        return _postgres(timeout_s)
    if probe.kind == "redis":
        return _redis(timeout_s)
    return answers(probe.port, timeout_s)


def _http(probe: Probe, timeout_s: float) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, probe.port, timeout=timeout_s)
    try:
        connection.request("GET", probe.path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _postgres(timeout_s: float) -> bool:
    from crypto_intel.stack.postgres import can_connect

    return can_connect(os.environ["CRYPTO_INTEL_STACK_POSTGRES_DSN"], max(2, int(timeout_s)))


def _redis(timeout_s: float) -> bool:
    import redis

    url = os.environ["CRYPTO_INTEL_REDIS_URL"]
    client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
