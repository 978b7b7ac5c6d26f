"""The real API on a free port, in a thread of its own, over a database and a cache of the tests."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr

from crypto_intel.serving.api.app import create_app
from crypto_intel.serving.settings import Api, ServingSettings
from crypto_intel.stack.ports import free_port

JWT_SECRET = secrets.token_hex(32)
"""Another one in each run."""


def settings(dsn: str, data_dir: Path, redis_url: str | None = None, **api: Any) -> ServingSettings:
    """Settings of an API on a free port; reads need a key unless `open_reads` is given."""
    wanted = {"port": free_port(), "rate_per_minute": 1_000_000, "jwt": {"secret": JWT_SECRET}, "keep_s": 0, **api}
    return ServingSettings(
        postgres_dsn=SecretStr(dsn),
        redis_url=SecretStr(redis_url) if redis_url else None,
        data_dir=data_dir,
        api=Api(**wanted),
        source="sim",
    )


@contextmanager
def served(wanted: ServingSettings) -> Iterator[str]:
    """Serve until the block ends; the address of /api/v1.

    Raises:
        TimeoutError: it does not start.
    """
    config = uvicorn.Config(
        create_app(wanted), port=wanted.api.port, log_level="critical", ws_max_size=16_384, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise TimeoutError("the API did not start")
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{wanted.api.port}/api/v1"
    finally:
        server.should_exit = True
        thread.join(15)
