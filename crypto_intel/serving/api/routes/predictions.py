"""Predictions of users' models: kept as they were made, and shown to their owner beside what became true."""

from __future__ import annotations

from typing import Annotated

import psycopg
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from crypto_intel.serving.api import describe, models, params
from crypto_intel.serving.api.access import Has, Modeller
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.api.reads import ReadRoute
from crypto_intel.serving.api.render import render, render_object
from crypto_intel.serving.queries import predictions
from crypto_intel.serving.queries.query import BadQueryError, Row

router = APIRouter(tags=["predictions"], route_class=ReadRoute)
_KEEP = """
INSERT INTO public.predictions (owner, model, venue, symbol, measure, target_at, value)
SELECT %s, n.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::double precision[]) n
ON CONFLICT DO NOTHING RETURNING predicted_at
"""
_COLUMNS = ("model", "venue", "symbol", "measure", "target_at", "value")


@router.post("/predictions", responses=describe.thing(models.Kept, "What was kept."))
async def keep_predictions(request: Request, has: Has, caller: Modeller, body: models.NewPredictions) -> Response:
    """Keep what a model predicts, before it can be known.

    The database dates it by the platform clock; nobody can date it back, change it or take it away.
    """
    async with has.database.acting(caller.identity) as connection:
        moments = await _keep(connection, caller.identity, body)
    kept = {"kept": len(moments), "repeated": len(body.predictions) - len(moments)}
    return render_object(request, {**kept, "predicted_at": max((moment for (moment,) in moments), default=None)})


@router.get("/predictions", responses=describe.page(models.Prediction, "Predictions."))
async def list_predictions(
    request: Request, has: Has, caller: Modeller, p: Annotated[params.PredictionsParams, Query()]
) -> Response:
    """The caller's own predictions by when they were made, each beside what became true once it has."""
    wanted = predictions.PredictionFilter(
        p.model, p.symbol, p.venue, p.measure, p.start, p.end, p.direction, p.limit, p.cursor
    )
    page = await has.database.own_page(predictions.predictions(wanted), caller.identity)
    return await render(request, page, p.format)


async def _keep(connection: psycopg.AsyncConnection[Row], owner: str, body: models.NewPredictions) -> list[Row]:
    columns = [[getattr(row, name) for row in body.predictions] for name in _COLUMNS]
    try:
        return await (await connection.execute(_KEEP, (owner, *columns))).fetchall()
    except psycopg.errors.InvalidParameterValue as error:
        raise BadQueryError(error.diag.message_primary or "it does not fit") from None
    except psycopg.errors.ProgramLimitExceeded as error:
        detail = error.diag.message_primary or "too many predictions"
        raise ProblemError(429, "too-many-predictions", detail, Retry_After="3600") from None
