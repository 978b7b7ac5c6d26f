"""How far the platform can be trusted: health, gaps, completeness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from crypto_intel.serving.api import describe, models, params
from crypto_intel.serving.api.access import Has, Reader
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.api.reads import ReadRoute
from crypto_intel.serving.api.render import render, render_object
from crypto_intel.serving.database import UnavailableError
from crypto_intel.serving.queries import trust

router = APIRouter(tags=["trust"], route_class=ReadRoute)
SILENT_S = 120
"""A streaming query reports each batch, also an empty one, at least every 30 s; four in a row missing is silence."""


@router.get("/health/live", responses={200: {"description": "This process answers."}})
async def is_alive() -> dict[str, str]:
    """For probes: this process answers. It says nothing of what it reads from, and needs no key."""
    return {"status": "ok"}


@router.get("/health", responses=describe.thing(models.Health, "How the platform is."))
async def get_health(request: Request, has: Has, _: Reader) -> Response:
    """Each part, how far each stream is, and how fresh each market's feed. 503 when the database does not answer."""
    try:
        streams = (await has.database.page(trust.streams())).dicts()
        sources = (await has.database.page(trust.sources())).dicts()
        feeds = (await has.database.page(trust.feeds())).dicts()
    except UnavailableError:
        raise ProblemError(503, "unavailable", "the database does not answer", Retry_After="2") from None
    parts = _parts(has.settings.data_dir)
    ill = any(part["given_up"] or part["answers"] is False for part in parts)
    silent = any(stream["silent_s"] > SILENT_S for stream in streams)
    content = {
        "status": "degraded" if ill or silent else "ok",
        "database": True,
        "cache": await has.cache.answers(),
        "parts": parts,
        "streams": streams,
        "sources": sources,
        "feeds": feeds,
    }
    return render_object(request, content)


@router.get("/gaps", responses=describe.page(models.Gap, "Gaps."))
async def list_gaps(request: Request, has: Has, _: Reader, p: Annotated[params.GapsParams, Query()]) -> Response:
    """The ledger of what was missing: open, repaired, or never to come, with reasons."""
    wanted = trust.GapFilter(p.symbol, p.venue, p.state, p.start, p.end, p.direction, p.limit, p.cursor)
    return await render(request, await has.database.page(trust.gaps(wanted)), p.format)


@router.get("/completeness", responses=describe.page(models.HourCompleteness, "Hours."))
async def list_completeness(
    request: Request, has: Has, _: Reader, p: Annotated[params.CompletenessParams, Query()]
) -> Response:
    """How complete each hour of each market is; at most 8 days a request, without a range the newest day."""
    query = trust.completeness(p.symbol, p.venue, p.start, p.end)
    return await render(request, await has.cache.page(query, keep_s=10), p.format)


def _parts(data_dir: Path) -> list[dict[str, Any]]:
    # What the supervisor's health checks wrote last; no file: parts are run by something else.
    try:
        found = msgspec.json.decode((data_dir / "run" / "health.json").read_bytes(), type=_HealthFile)
    except (OSError, msgspec.DecodeError):
        return []
    return [{"name": name, **msgspec.structs.asdict(part)} for name, part in sorted(found.parts.items())]


class _PartHealth(msgspec.Struct):
    answers: bool | None = None
    restarts: int = 0
    given_up: bool = False


class _HealthFile(msgspec.Struct):
    parts: dict[str, _PartHealth] = {}
