"""Bounds on what comes in, and a header that keeps browsers from guessing. Pure ASGI: it costs next to nothing."""

from __future__ import annotations

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 16_384
"""Bytes of a request's body; the longest that is meant has some 1,100."""

_TOO_LARGE = msgspec.json.encode(
    {
        "type": "urn:crypto-intel:problem:too-large",
        "title": "Content Too Large",
        "status": 413,
        "detail": f"a body has at most {MAX_BODY} bytes",
        "instance": "",
        "errors": [],
    }
)


class _TooLargeError(Exception):
    pass


class Guard:
    """Refuses long bodies before they are read, and marks every answer as what it says it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
            await send(message)

        told = Headers(scope=scope).get("content-length", "0")
        if told.isdigit() and int(told) > MAX_BODY:
            await _refuse(marked)
            return
        await self._app(scope, _bounded(receive), marked)


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY:  # a body that did not tell its length; FastAPI answers 400
            raise _TooLargeError
        return message

    return take


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LARGE})
