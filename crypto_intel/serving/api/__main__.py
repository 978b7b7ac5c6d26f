"""Serve the API: `python -m crypto_intel.serving.api`. One process, or several of one address; both are settings."""

from __future__ import annotations

import gc

import uvicorn
from fastapi import FastAPI

from crypto_intel.serving.api.app import create_app
from crypto_intel.serving.api.metrics import ApiMetrics
from crypto_intel.serving.settings import ServingSettings
from streaming.log import configure_log
from streaming.metrics import MetricsPage


def make_app() -> FastAPI:
    """The app on the settings of the environment: what each process makes for itself."""
    settings = ServingSettings()
    configure_log(json=settings.log_json)
    metrics = ApiMetrics()
    # Of several processes the first one shows its figures; they take what comes in turn, so it speaks for the others.
    MetricsPage(metrics.registry).serve(settings.metrics_host, settings.metrics_port)
    app = create_app(settings, metrics)
    # What is here now stays until the end: a collection that walks over it holds up every request for nothing.
    gc.collect()
    gc.freeze()
    return app


def main() -> None:
    """Serve until told to stop."""
    wanted = ServingSettings().api
    uvicorn.run(
        # By name where several processes make it; one makes it here, where what is wrong shows at once.
        make_app() if wanted.workers == 1 else "crypto_intel.serving.api.__main__:make_app",
        factory=wanted.workers > 1,
        workers=wanted.workers,
        host=wanted.host,
        port=wanted.port,
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
