"""News and macro series."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from crypto_intel.serving.api import describe, models, params
from crypto_intel.serving.api.access import Has, Reader
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.api.reads import ReadRoute
from crypto_intel.serving.api.render import render
from crypto_intel.serving.queries import macro, news
from crypto_intel.serving.queries.query import BadQueryError

router = APIRouter(tags=["news and macro"], route_class=ReadRoute)


@router.get("/news", responses=describe.page(models.Article, "Articles."))
async def list_news(request: Request, has: Has, _: Reader, p: Annotated[params.NewsParams, Query()]) -> Response:
    """Articles by asset, words, mood and time of publishing. Their text comes from outside: escape it."""
    if p.sentiment_min is not None and p.sentiment_max is not None and p.sentiment_min > p.sentiment_max:
        raise BadQueryError("sentiment_min: at most sentiment_max")
    wanted = news.NewsFilter(
        p.asset, p.q, p.sentiment_min, p.sentiment_max, p.start, p.end, p.direction, p.limit, p.cursor
    )
    return await render(request, await has.database.page(news.articles(wanted)), p.format)


@router.get("/macro", responses=describe.page(models.MacroSeries, "Series."))
async def list_macro(request: Request, has: Has, _: Reader, p: Annotated[params.Rendered, Query()]) -> Response:
    """Which macro series there are."""
    return await render(request, await has.cache.page(macro.series(), keep_s=10), p.format)


@router.get("/macro/{series}", responses=describe.page(models.MacroValue, "Observations."))
async def list_observations(
    request: Request,
    has: Has,
    _: Reader,
    series: Annotated[str, Path(pattern=r"^[A-Z0-9]{1,25}$", description="FRED series.", examples=["CPIAUCSL"])],
    p: Annotated[params.MacroParams, Query()],
) -> Response:
    """One value an observation, as it could be used on a day: a value released on a day counts from the day after."""
    query = macro.observations(
        series, as_of=p.as_of, start=p.start, end=p.end, order=p.order, limit=p.limit, cursor=p.cursor
    )
    page = await has.database.page(query)
    if not page.rows and not p.cursor:
        known = [row[0] for row in (await has.cache.page(macro.series(), keep_s=10)).rows]
        if series not in known:
            raise ProblemError(404, "unknown-series", f"there are: {', '.join(known) or 'none yet'}")
    return await render(request, page, p.format)
