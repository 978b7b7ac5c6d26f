"""A stand-in for PostgREST, as much of it as the supabase client needs to upsert, select and call functions.

It answers for a real PostgreSQL: each request is a transaction under the role of its key, so grants, row level
security, constraints and triggers are the real ones. Keys are tokens as a project's are: signed, with a role in them.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import psycopg
from aiohttp import web
from multidict import MultiMapping
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
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    requests: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)

    def key(self, role: str) -> str:
        """A token of this role, as a project gives its users."""
        return jwt.encode({"role": role, "sub": "user-1", "aud": "authenticated"}, self.secret, "HS256")

    def _role(self, request: web.Request) -> str | None:
        # The token in Authorization says who it is; the key alone is the project's.
        key = request.headers.get("apikey", "")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or key
        if key in _ROLES:
            return _ROLES[key]
        try:
            claims = jwt.decode(token, self.secret, ["HS256"], audience="authenticated")
        except jwt.PyJWTError:
            return None
        return str(claims["role"])

    async def handle(self, request: web.Request) -> web.Response:
        """One request, one transaction."""
        self.requests.append(f"{request.method} {request.path}")
        if self.failures:
            return web.Response(status=self.failures.pop(0), text="<html>gateway</html>")
        role = self._role(request)
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
                return _select(connection, request.match_info["table"], request.query)
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


_OPERATORS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NOT_COLUMNS = {"select", "order", "limit", "offset"}


def _select(connection: psycopg.Connection, table: str, query: MultiMapping[str]) -> web.Response:
    names = [name.strip() for name in query.get("select", "*").split(",")]
    wanted = sql.SQL("*") if names == ["*"] else sql.SQL(", ").join(map(sql.Identifier, names))
    conditions = [_condition(name, value) for name, value in query.items() if name not in _NOT_COLUMNS]
    where = sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")
    inner = sql.SQL("SELECT {} FROM {}{}{} LIMIT {}").format(
        wanted, sql.Identifier("public", table), where, _order(query.get("order", "")), int(query.get("limit", "1000"))
    )
    statement = sql.SQL("SELECT coalesce(json_agg(t), '[]')::text FROM ({}) t").format(inner)
    row = connection.execute(statement).fetchone()
    return web.Response(text=row[0] if row else "[]", content_type="application/json")


def _condition(name: str, value: str) -> sql.Composed:
    operator, _, operand = value.partition(".")
    return sql.SQL("{} {} {}").format(sql.Identifier(name), sql.SQL(_OPERATORS[operator]), sql.Literal(operand))


def _order(text: str) -> sql.Composable:
    parts = [part.split(".") for part in text.split(",") if part]
    if not parts:
        return sql.SQL("")
    terms = [sql.Identifier(name) + sql.SQL(" DESC" if "desc" in rest else " ASC") for name, *rest in parts]
    return sql.SQL(" ORDER BY ") + sql.SQL(", ").join(terms)


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
