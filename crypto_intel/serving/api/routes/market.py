"""Markets: which there are, prices, bars, enriched rows, the row as it was known, the ranking."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from crypto_intel.serving.api import describe, models, params
from crypto_intel.serving.api.access import Has, Reader
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.api.reads import ReadRoute
from crypto_intel.serving.api.render import render, render_object
from crypto_intel.serving.queries import bars, markets

router = APIRouter(tags=["market"], route_class=ReadRoute)
HOT_S = 1.0
"""How old a hot answer may be: live states come every three seconds."""


def _range(wanted: params.BarsParams | params.EnrichedParams | params.IndicatorsParams) -> bars.Range:
    return bars.Range(
        wanted.symbol, wanted.venue, wanted.start, wanted.end, wanted.direction, wanted.limit, wanted.cursor
    )


@router.get("/symbols", responses=describe.page(models.Market, "Every market."))
async def list_symbols(request: Request, has: Has, _: Reader, p: Annotated[params.Rendered, Query()]) -> Response:
    """Every market that is followed, with the range of its bars."""
    return await render(request, await has.cache.page(markets.symbols(), keep_s=10), p.format)


@router.get("/prices", responses=describe.page(models.Price, "Newest states."))
async def list_prices(request: Request, has: Has, _: Reader, p: Annotated[params.PricesParams, Query()]) -> Response:
    """The newest state of each market, seconds old: price, change over 1 h and 24 h, the open minute."""
    query = markets.prices(list(p.symbol) or None, p.venue)
    return await render(request, await has.cache.page(query, keep_s=HOT_S), p.format)


@router.get("/bars", responses=describe.page(models.Bar, "Bars."))
async def list_bars(request: Request, has: Has, _: Reader, p: Annotated[params.BarsParams, Query()]) -> Response:
    """Bars of a market in [start, end), each with how complete it is.

    `1m` and `5m` are as they streamed. `1h` and `1d` are made of every trade once the window has closed, and rolled up
    from bars of 5 minutes before that: one that lacks bars is *partial* and says how many there are. At most 92 and
    366 days a request.
    """
    return await render(request, await has.database.page(bars.bars(p.interval, _range(p))), p.format)


@router.get("/indicators", responses=describe.page(models.Indicators, "Indicators."))
async def list_indicators(
    request: Request, has: Has, _: Reader, p: Annotated[params.IndicatorsParams, Query()]
) -> Response:
    """RSI, MACD, Bollinger bands, EMA, ATR and VWAP of a market's bars; an hour's come minutes after it has closed."""
    return await render(request, await has.database.page(bars.indicators(p.interval, _range(p))), p.format)


@router.get("/enriched", responses=describe.page(models.EnrichedRow, "Enriched rows."))
async def list_enriched(
    request: Request, has: Has, _: Reader, p: Annotated[params.EnrichedParams, Query()]
) -> Response:
    """Minutes with the news around them and macro values as known then. Provisional rows are revised in place."""
    query = bars.enriched(_range(p), final_only=p.final_only)
    return await render(request, await has.database.page(query), p.format)


@router.get("/as-of", responses=describe.thing(models.EnrichedRow, "The row."))
async def get_as_of(request: Request, has: Has, _: Reader, p: Annotated[params.AsOfParams, Query()]) -> Response:
    """The enriched row of a minute as it was known at a moment: its newest revision that was known by then."""
    query = bars.as_of(p.symbol, p.venue, p.window_start, p.known_by)
    rows = (await has.database.page(query)).dicts()
    if not rows:
        raise ProblemError(404, "not-known-then", "nothing was known of that minute by then; see /enriched for what is")
    return render_object(request, rows[0])


@router.get("/ranking", responses=describe.page(models.Ranked, "Markets in order."))
async def list_ranking(request: Request, has: Has, _: Reader, p: Annotated[params.RankingParams, Query()]) -> Response:
    """Markets by their change over 1 h or 24 h, or by the volume of 24 h."""
    query = markets.ranking(p.by, rising=p.ascending, limit=p.limit)
    return await render(request, await has.cache.page(query, keep_s=HOT_S), p.format)
