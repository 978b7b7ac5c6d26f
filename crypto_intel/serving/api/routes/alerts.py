"""Alerts: what fired, what people did with it, and where it comes from. The API's only writes are here."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from crypto_intel.serving.api import describe, lineage, models, params
from crypto_intel.serving.api.access import Has, Judge, Reader, Services
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.api.reads import ReadRoute
from crypto_intel.serving.api.render import render, render_object
from crypto_intel.serving.queries import alerts
from crypto_intel.serving.queries.query import Row

router = APIRouter(tags=["alerts"], route_class=ReadRoute)
AlertPath = Annotated[params.AlertId, Path(description="alert_id.", examples=["price_move:binance:BTC-USDT:1"])]


@router.get("/alerts", responses=describe.page(models.Alert, "Alerts."))
async def list_alerts(request: Request, has: Has, _: Reader, p: Annotated[params.AlertsParams, Query()]) -> Response:
    """Alerts by the time they were raised."""
    wanted = alerts.AlertFilter(
        p.symbol, p.venue, p.state, p.severity, p.rule, p.start, p.end, p.direction, p.limit, p.cursor
    )
    return await render(request, await has.database.page(alerts.alerts(wanted)), p.format)


@router.get("/alerts/{alert_id}", responses=describe.thing(models.AlertDetail, "The alert."))
async def get_alert(request: Request, has: Has, _: Reader, alert_id: AlertPath) -> Response:
    """One alert with everything that people did with it."""
    return render_object(request, await _detail(has, alert_id))


@router.post("/alerts/{alert_id}/acknowledge", responses=describe.thing(models.AlertDetail, "As it is now."))
async def acknowledge(request: Request, has: Has, caller: Judge, alert_id: AlertPath, body: models.Note) -> Response:
    """Say that somebody looks at it. Repeated, it changes nothing more than the list of acts."""
    async with has.database.writing() as connection:
        await _touch(connection, alert_id, "acknowledged", "open")
        await _note(connection, alert_id, "acknowledged", caller.identity, body.note)
    return render_object(request, await _detail(has, alert_id))


@router.post("/alerts/{alert_id}/close", responses=describe.thing(models.AlertDetail, "As it is now."))
async def close(request: Request, has: Has, caller: Judge, alert_id: AlertPath, body: models.Note) -> Response:
    """Say that it is settled."""
    async with has.database.writing() as connection:
        await _touch(connection, alert_id, "closed", "open", "acknowledged")
        await _note(connection, alert_id, "closed", caller.identity, body.note)
    return render_object(request, await _detail(has, alert_id))


@router.post("/alerts/{alert_id}/feedback", responses=describe.thing(models.AlertDetail, "As it is now."))
async def judge(request: Request, has: Has, caller: Judge, alert_id: AlertPath, body: models.Judgement) -> Response:
    """Say whether it was right."""
    async with has.database.writing() as connection:
        await _touch(connection, alert_id, None)
        await _note(connection, alert_id, body.verdict, caller.identity, body.note)
    return render_object(request, await _detail(has, alert_id))


@router.get("/lineage/{alert_id}", responses=describe.thing(models.Lineage, "Where it comes from."))
async def get_lineage(request: Request, has: Has, _: Reader, alert_id: AlertPath) -> Response:
    """From the alert to its enriched rows, its bars, and the Kafka records in bronze that they were made of."""
    found = await _one(has, alert_id)
    bars = (await has.database.page(alerts.bars_of(alert_id))).dicts()
    content = {
        "alert": found,
        "enriched": (await has.database.page(alerts.enriched_of(alert_id))).dicts(),
        "bars": bars,
        "bronze": await lineage.records_of(has.settings.lake_root, bars),
    }
    return render_object(request, content)


async def _one(has: Services, alert_id: str) -> dict[str, Any]:
    rows = (await has.database.page(alerts.alert(alert_id))).dicts()
    if not rows:
        raise ProblemError(404, "unknown-alert", "there is no alert of this id; /alerts lists them")
    return rows[0]


async def _detail(has: Services, alert_id: str) -> dict[str, Any]:
    found = await _one(has, alert_id)
    return {"alert": found, "actions": (await has.database.page(alerts.actions(alert_id))).dicts()}


async def _touch(connection: psycopg.AsyncConnection[Row], alert_id: str, state: str | None, *from_states: str) -> None:
    # Moves forward only: an alert that is closed stays closed.
    cursor = await connection.execute("SELECT 1 FROM public.alerts WHERE alert_id = %s", (alert_id,))
    if await cursor.fetchone() is None:
        raise ProblemError(404, "unknown-alert", "there is no alert of this id; /alerts lists them")
    if state:
        await connection.execute(
            "UPDATE public.alerts SET state = %s WHERE alert_id = %s AND state = ANY(%s)",
            (state, alert_id, list(from_states)),
        )


async def _note(connection: psycopg.AsyncConnection[Row], alert_id: str, action: str, actor: str, note: str) -> None:
    await connection.execute(
        "INSERT INTO ops.alert_actions (alert_id, action, actor, note) VALUES (%s, %s, %s, %s)",
        (alert_id, action, actor, note),
    )
