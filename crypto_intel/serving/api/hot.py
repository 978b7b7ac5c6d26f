"""Answers that many ask for within a moment, kept whole: encoded, compressed, with their ETag. Pure ASGI.

Guarantee: an answer is at most `keep_s` old, and is given to nobody who may not read it: who asks is checked and
counted for each request, kept answer or not. Only reads of market data are kept, which are the same for every reader;
what people change themselves (alerts, settings) is never. Bounds: `MAX_BYTES` in all; the oldest answers go first.
Who asks for an answer that is being made waits for it: an answer that has become old is made once, not once a reader.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_intel.serving.api.access import admit
from crypto_intel.serving.api.problems import ProblemError, answer_to
from crypto_intel.serving.database import UnavailableError

MAX_BYTES = 32 * 1024 * 1024
MAX_ANSWER = 512 * 1024
"""A longer answer is rare, and would drive out many short ones."""

MAX_KEY = 600
_OF_ONE_CALLER = b"ratelimit-"
_Key = tuple[str, bytes, str, bool]
_RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, without the headers that are one caller's; `route` is for those who count by it."""

    status: int
    headers: _RawHeaders
    body: bytes
    made_at: float
    route: object = None

    @property
    def tag(self) -> bytes:
        """Its ETag; empty where it has none."""
        return next((value for name, value in self.headers if name == b"etag"), b"")


class HotAnswers:
    """Answers hot paths from memory while the answer is fresh.

    Args:
        paths: whose GETs are kept.
        keep_s: how old an answer may be.
    """

    def __init__(self, app: ASGIApp, *, paths: Collection[str], keep_s: float) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._keep_s = keep_s
        self._kept: OrderedDict[_Key, Answer] = OrderedDict()
        self._bytes = 0
        self._making: dict[_Key, tuple[float, asyncio.Task[Answer]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            await admit(request, scope["app"].state.services, "read")
        except (ProblemError, UnavailableError) as error:
            await answer_to(request, error)(scope, receive, send)
            return
        key = _key(scope, request.headers)
        answer = self._find(key) or await self._made(key, scope, receive)
        scope["route"] = answer.route
        await _give(answer, request, send)

    def _find(self, key: _Key) -> Answer | None:
        answer = self._kept.get(key)
        return answer if answer and time.monotonic() - answer.made_at < self._keep_s else None

    async def _made(self, key: _Key, scope: Scope, receive: Receive) -> Answer:
        began, task = self._making.get(key, (0.0, None))
        if task is None or time.monotonic() - began >= self._keep_s:
            task = asyncio.create_task(self._make_and_keep(key, scope, receive))
            self._making[key] = (time.monotonic(), task)
        # Shielded: one reader that goes away takes the answer from nobody else.
        return await asyncio.shield(task)

    async def _make_and_keep(self, key: _Key, scope: Scope, receive: Receive) -> Answer:
        try:
            answer = await self._make(scope, receive)
            self._keep(key, answer)
            return answer
        finally:
            if self._making.get(key, (0.0, None))[1] is asyncio.current_task():
                del self._making[key]

    async def _make(self, scope: Scope, receive: Receive) -> Answer:
        # The whole answer, whatever the caller has already: the next one may have nothing.
        headers = [(name, value) for name, value in scope["headers"] if name != b"if-none-match"]
        made_at = time.monotonic()
        start: Message = {}
        parts: list[bytes] = []

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        own = {**scope, "headers": headers}
        await self._app(own, receive, take)
        return Answer(start["status"], _of_all(start["headers"]), b"".join(parts), made_at, own.get("route"))

    def _keep(self, key: _Key, answer: Answer) -> None:
        if answer.status != 200 or len(answer.body) > MAX_ANSWER or len(key[1]) + len(key[2]) > MAX_KEY:
            return
        before = self._kept.pop(key, None)
        self._bytes += len(answer.body) - (len(before.body) if before else 0)
        self._kept[key] = answer
        while self._bytes > MAX_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)


def _key(scope: Scope, headers: Headers) -> _Key:
    compressed = "gzip" in headers.get("accept-encoding", "")
    return scope["path"], scope["query_string"], headers.get("accept", ""), compressed


def _of_all(headers: Iterable[tuple[bytes, bytes]]) -> _RawHeaders:
    return [(name, value) for name, value in headers if not name.startswith(_OF_ONE_CALLER)]


async def _give(answer: Answer, request: Request, send: Send) -> None:
    own = [(name.lower().encode(), value.encode()) for name, value in request.state.headers.items()]
    status, headers, body = answer.status, [*answer.headers, *own], answer.body
    if answer.tag and _knows(request.headers.get("if-none-match"), answer.tag):
        status, body = 304, b""
        headers = [(name, value) for name, value in headers if not name.startswith(b"content-")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _knows(told: str | None, tag: bytes) -> bool:
    known = {part.strip() for part in told.split(",")} if told else set()
    return "*" in known or tag.decode() in known
