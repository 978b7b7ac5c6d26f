"""The app: endpoints, errors and what they work with, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from pydantic import SecretStr
from starlette.middleware.trustedhost import TrustedHostMiddleware

from crypto_intel.serving.api import describe, problems
from crypto_intel.serving.api.access import Services
from crypto_intel.serving.api.auth import Gate
from crypto_intel.serving.api.cache import Cache
from crypto_intel.serving.api.docs import add_docs
from crypto_intel.serving.api.guard import Guard
from crypto_intel.serving.api.hot import HotAnswers
from crypto_intel.serving.api.limits import Limiter
from crypto_intel.serving.api.live.hub import Hub
from crypto_intel.serving.api.metrics import ApiMetrics, Count
from crypto_intel.serving.api.routes import alerts, config, live, market, news, predictions, trust
from crypto_intel.serving.database import AsyncDatabase
from crypto_intel.serving.settings import ServingSettings

PREFIX = "/api/v1"
GZIP_LEVEL = 1
"""500 bars: 40 KB instead of 244 in 0.9 ms of CPU; level 6 gives 35 KB in 3.0 ms."""

HOT_PATHS = ("/bars", "/indicators", "/enriched", "/prices", "/ranking", "/symbols", "/news", "/completeness", "/macro")
"""Reads that are the same for every reader and that nobody changes through the API."""

_ABOUT = """Market data that a model can trust: bars, news and macro values, joined in time, each with how complete it
is and when it could be known.

Times are ISO 8601 in UTC, prices in quote, quantities in base. Answers in pages give `next_cursor`; ask again with it
and the same parameters. `format` or the header Accept chooses JSON, CSV, Parquet or Arrow. Live updates: `/api/v1/ws`.
"""


def create_app(settings: ServingSettings, metrics: ApiMetrics | None = None) -> FastAPI:
    """The app on these settings; it connects when it starts.

    Args:
        settings: its own.
        metrics: told of each request.

    Raises:
        ValueError: no database is named.
    """
    if settings.postgres_dsn is None:
        raise ValueError("no database is named: set CRYPTO_INTEL_POSTGRES_DSN or SUPABASE_DB_URL")
    app = FastAPI(
        title="Crypto Intel",
        version="1",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        lifespan=partial(_lifespan, settings=settings, dsn=settings.postgres_dsn),
        generate_unique_id_function=lambda route: route.name,
    )
    root = APIRouter(prefix=PREFIX)
    for routes in (market, news, alerts, predictions, trust, config, live):
        root.include_router(routes.router)
    app.include_router(root)
    add_docs(app, PREFIX)
    if settings.api.admin:
        # On use: the pages bring SQLAlchemy and their library along, 25 MB.
        from crypto_intel.serving.admin.pages import add_admin  # noqa: PLC0415

        add_admin(app, settings.api, settings.postgres_dsn)
    problems.install(app)
    _shield(app, settings)
    app.add_middleware(Count, metrics=metrics or ApiMetrics())
    app.openapi = partial(_openapi_once, app)  # type: ignore[method-assign]
    return app


def _shield(app: FastAPI, settings: ServingSettings) -> None:
    # The last one is the outermost. A page that rebinds its site's name to loopback is stopped by the host's name.
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=GZIP_LEVEL)
    if settings.api.keep_s > 0:
        app.add_middleware(HotAnswers, paths=[PREFIX + path for path in HOT_PATHS], keep_s=settings.api.keep_s)
    app.add_middleware(Guard)
    if settings.api.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.api.origins),
            allow_methods=["GET", "POST", "PATCH"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "If-None-Match"],
            expose_headers=["ETag", "Link", "X-Next-Cursor", "RateLimit-Remaining"],
        )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.api.hosts), www_redirect=False)


def _openapi_once(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = describe.openapi(app)
    return app.openapi_schema


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: ServingSettings, dsn: SecretStr) -> AsyncIterator[None]:
    database = AsyncDatabase(dsn, connections=settings.api.connections)
    cache = Cache(settings.redis_url, database)
    limiter = Limiter(settings.api.rate_per_minute, settings.redis_url if settings.api.count_in_redis else None)
    app.state.services = Services(settings, database, cache, Gate(settings.api, database), limiter)
    app.state.hub = Hub(dsn, database)
    await database.open()
    try:
        yield
    finally:
        await app.state.hub.close()
        await cache.close()
        await database.close()
