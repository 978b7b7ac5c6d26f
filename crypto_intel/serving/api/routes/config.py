"""What is followed and how, read and changed. Changes need the scope `admin`, are kept with who made them, and count
within seconds: whoever they concern looks at the same tables.
"""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request
from psycopg.rows import dict_row
from starlette.responses import Response

from crypto_intel.contracts.rules import BadRulesError, row_of, rule_of
from crypto_intel.serving.api import describe, models, params
from crypto_intel.serving.api.access import Admin, Has, Reader, Services
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.api.reads import ReadRoute
from crypto_intel.serving.api.render import MEDIA_TYPES, render, render_object
from crypto_intel.serving.queries import alerts, config, markets
from crypto_intel.serving.queries.query import MAX_ROWS, BadQueryError, Row

router = APIRouter(tags=["config"], route_class=ReadRoute)
_TRACK = """
INSERT INTO public.coins (venue, symbol, is_tracked, note) VALUES (%(venue)s, %(symbol)s, %(is_tracked)s, %(note)s)
ON CONFLICT (venue, symbol) DO UPDATE SET is_tracked = excluded.is_tracked, note = excluded.note
"""
_RULE = "SELECT * FROM public.alert_rules WHERE rule = %(rule)s FOR UPDATE"
_JUDGE_BY = """
UPDATE public.alert_rules SET enabled = %(enabled)s, threshold = %(threshold)s, window_s = %(window_s)s,
  baseline_minutes = %(baseline_minutes)s, least_minutes = %(least_minutes)s, cooldown_s = %(cooldown_s)s,
  severity = %(severity)s, markets = %(markets)s, changed_by = %(changed_by)s
WHERE rule = %(rule)s
"""
_KEEP = "UPDATE ops.retention SET keep_days = %(keep_days)s WHERE table_name = %(table_name)s"


@router.get("/config/crypto", responses=describe.thing(models.CryptoConfig, "What is set."))
async def get_config(request: Request, has: Has, _: Reader) -> Response:
    """Which markets are followed, by which rules alerts are raised, how long rows are kept, what may be asked for."""
    return render_object(request, await _config(has))


@router.patch("/config/crypto", responses=describe.thing(models.CryptoConfig, "As it is now."))
async def change_config(request: Request, has: Has, caller: Admin, body: models.ConfigChange) -> Response:
    """Track a coin or let it go, keep rows longer or shorter. All of it or nothing; what is not named stays.

    Producers subscribe anew within seconds, without a restart. What was taken of a coin before stays.
    """
    async with has.database.administering(caller.identity) as connection:
        for coin in body.coins:
            await connection.execute(_TRACK, coin.model_dump())
        for rule in body.rules:
            await _judge_by(connection, rule, caller.identity)
        for table in body.retention:
            await _keep(connection, table)
    return render_object(request, await _config(has))


@router.get("/config/audit", responses=describe.page(models.Change, "Changes."))
async def list_changes(request: Request, has: Has, _: Admin, p: Annotated[params.AuditParams, Query()]) -> Response:
    """Who changed what: coins, rules, keys, retention; by whatever way it was done."""
    wanted = config.AuditFilter(p.table_name, p.actor, p.start, p.end, p.direction, p.limit, p.cursor)
    return await render(request, await has.database.page(config.audit(wanted)), p.format)


async def _judge_by(connection: psycopg.AsyncConnection[Row], change: models.RuleChange, actor: str) -> None:
    cursor = connection.cursor(row_factory=dict_row)
    found = await (await cursor.execute(_RULE, {"rule": change.rule})).fetchone()
    if found is None:
        raise ProblemError(404, "unknown-rule", f"there is no rule {change.rule}; /config/crypto lists them")
    row = {**found, **change.model_dump(exclude_none=True), "changed_by": actor}
    try:
        wanted = row_of(rule_of(row))
    except BadRulesError as error:
        raise BadQueryError(str(error)) from None
    await connection.execute(_JUDGE_BY, {**wanted, "changed_by": actor})


async def _keep(connection: psycopg.AsyncConnection[Row], rule: models.RetentionChange) -> None:
    cursor = await connection.execute(_KEEP, rule.model_dump())
    if cursor.rowcount == 0:
        raise ProblemError(
            404, "unknown-table", f"nothing says how long {rule.table_name} is kept; /config/crypto does"
        )


async def _config(has: Services) -> dict[str, Any]:
    return {
        "source": has.settings.source,
        "markets": (await has.cache.page(markets.symbols(), keep_s=10)).dicts(),
        "coins": (await has.database.page(config.coins())).dicts(),
        "rules": (await has.database.page(alerts.rules())).dicts(),
        "retention": (await has.database.page(config.retention())).dicts(),
        "intervals": ["1m", "5m", "1h", "1d"],
        "formats": list(MEDIA_TYPES),
        "max_rows": MAX_ROWS,
    }
