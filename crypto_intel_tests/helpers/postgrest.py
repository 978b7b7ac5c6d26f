"""A stand-in for PostgREST, as much of it as the supabase client needs to upsert, select and call functions.

It answers for a real PostgreSQL: each request is a transaction under the role of its key, so grants, row level
security, constraints and triggers are the real ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from aiohttp import web
from psycopg import sql
from psycopg.types.json import Jsonb

ANON_KEY = "anon-key"
SERVICE_KEY = "service-key"
_ROLES = {ANON_KEY: "anon", SERVICE_KEY: "service_role"}


@dataclass
class PostgRest:
    """Where it answers and what it was asked.

    Attributes:
        url: as SUPABASE_URL.
        requests: method and path of each request.
        failures: statuses to answer with, first ones first, before it works again.
    """

    dsn: str
    url: str = ""
    requests: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """One request, one transaction."""
        self.requests.append(f"{request.method} {request.path}")
        if self.failures:
            return web.Response(status=self.failures.pop(0), text="<html>gateway</html>")
        role = _ROLES.get(request.headers.get("apikey", ""))
        if role is None:
            return web.json_response({"message": "Invalid API key", "code": "401"}, status=401)
        body = await request.json() if request.can_read_body else None
        try:
            return await asyncio.to_thread(self._answer, request, role, body)
        except psycopg.Error as error:
            answer = {"code": error.sqlstate, "message": error.diag.message_primary, "details": None, "hint": None}
            return web.json_response(answer, status=403 if error.sqlstate == "42501" else 400)

    def _answer(self, request: web.Request, role: str, body: Any) -> web.Response:
        kind, name = ("rpc", request.match_info["function"]) if "function" in request.match_info else ("table", "")
        with psycopg.connect(self.dsn) as connection:
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            if kind == "rpc":
                return _call(connection, name, body)
            if request.method == "GET":
                return _select(connection, request.match_info["table"])
            _upsert(connection, request, body)
        return web.Response(status=201)


@contextmanager
def postgrest(dsn: str) -> Iterator[PostgRest]:
    """Serve the database on a free loopback port, from a thread of its own."""
    server = PostgRest(dsn)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(_start(server), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _start(server: PostgRest) -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/rest/v1/rpc/{function}", server.handle)
    app.router.add_route("*", "/rest/v1/{table}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    return runner


def _select(connection: psycopg.Connection, table: str) -> web.Response:
    statement = sql.SQL("SELECT coalesce(json_agg(t), '[]')::text FROM {} t").format(sql.Identifier("public", table))
    row = connection.execute(statement).fetchone()
    return web.Response(text=row[0] if row else "[]", content_type="application/json")


def _call(connection: psycopg.Connection, function: str, arguments: dict[str, Any]) -> web.Response:
    values = {name: Jsonb(value) if isinstance(value, list | dict) else value for name, value in arguments.items()}
    statement = sql.SQL("SELECT {}({})").format(
        sql.Identifier("public", function),
        sql.SQL(", ").join(sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in values),
    )
    row = connection.execute(statement, values).fetchone()
    return web.json_response(row[0] if row else None)


def _upsert(connection: psycopg.Connection, request: web.Request, body: Any) -> None:
    rows = body if isinstance(body, list) else [body]
    table = sql.Identifier("public", request.match_info["table"])
    columns = (
        request.query.get("columns", "").replace('"', "").split(",") if "columns" in request.query else list(rows[0])
    )
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    key = sql.SQL(", ").join(map(sql.Identifier, request.query["on_conflict"].split(",")))
    action = sql.SQL("DO NOTHING")
    if "resolution=merge-duplicates" in request.headers["Prefer"]:
        # As PostgREST does it: every column, the key's too.
        updates = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in columns]
        action = sql.SQL("DO UPDATE SET {}").format(sql.SQL(", ").join(updates))
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %s) "
        "ON CONFLICT ({key}) {action}"
    ).format(table=table, names=names, key=key, action=action)
    connection.execute(statement, (Jsonb(rows),))
