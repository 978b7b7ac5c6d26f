"""Serve the API: `python -m crypto_intel.serving.api`. One process; its address is a setting."""

from __future__ import annotations

import uvicorn

from crypto_intel.serving.api.app import create_app
from crypto_intel.serving.settings import ServingSettings
from streaming.log import configure_log


def main() -> None:
    """Serve until told to stop."""
    settings = ServingSettings()
    configure_log(json=settings.log_json)
    uvicorn.run(
        create_app(settings),
        host=settings.api.host,
        port=settings.api.port,
        loop="uvloop",
        http="httptools",
        access_log=False,  # addresses may hold what people search for
        log_level="warning",
        server_header=False,
        ws_max_size=16_384,
        ws_per_message_deflate=False,  # small messages to many clients: it costs more than it saves
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=5,
        limit_concurrency=1_000,
    )


if __name__ == "__main__":
    main()
