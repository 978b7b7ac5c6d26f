"""Pages as JSON, CSV, Parquet or Arrow, with an ETag; what the client has already is answered with 304."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from crypto_intel.serving.api.params import Format
from crypto_intel.serving.queries.query import Page

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
IN_THREAD_FROM = 1_000
"""Rows from which on encoding leaves the event loop: it takes 0.7 ms for them, and others wait so long."""

_encode = msgspec.json.Encoder().encode


def chosen_format(request: Request, wanted: Format | None) -> Format:
    """The format asked for by name, else by Accept, else JSON."""
    if wanted:
        return wanted
    accepted = request.headers.get("accept", "")
    return next((name for name, media in MEDIA_TYPES.items() if media.split(";")[0] in accepted), "json")


async def render(request: Request, page: Page, wanted: Format | None = None) -> Response:
    """A page in the wanted format. Of all but JSON, the next page is named in the header Link."""
    kind = chosen_format(request, wanted)
    body = await _off_loop(page, _WRITERS[kind])
    headers = {"Vary": "Accept, Accept-Encoding"}
    if page.cursor:
        following = request.url.include_query_params(cursor=page.cursor)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        headers["X-Next-Cursor"] = page.cursor
    return answer(request, body, MEDIA_TYPES[kind], headers)


def render_object(request: Request, content: Any) -> Response:
    """Anything else as JSON."""
    return answer(request, _encode(content), MEDIA_TYPES["json"])


def answer(request: Request, body: bytes, media_type: str, headers: dict[str, str] | None = None) -> Response:
    """The body with its ETag, or 304. It is weak, since what follows may compress."""
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    # Every answer may be kept, and must be asked for again: bars are revised and keys are revoked.
    own = {
        **getattr(request.state, "headers", {}),
        **(headers or {}),
        "ETag": tag,
        "Cache-Control": "private, no-cache",
    }
    known = {part.strip() for part in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=own)
    return Response(body, headers=own, media_type=media_type)


async def _off_loop(page: Page, write: Callable[[Page], bytes]) -> bytes:
    if write is _json and len(page.rows) < IN_THREAD_FROM:
        return write(page)
    return await asyncio.to_thread(write, page)


def _json(page: Page) -> bytes:
    # Structs encode in half the time of dicts: their names are encoded once.
    row = _struct(tuple(page.query.column_names))
    return _encode({"data": [row(*values) for values in page.rows], "next_cursor": page.cursor})


@lru_cache(maxsize=64)  # of the columns of our queries, which are some twenty
def _struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    return msgspec.defstruct("Row", list(names), gc=False)  # rows are no part of a cycle


def _table(kind: Format) -> Callable[[Page], bytes]:
    def write(page: Page) -> bytes:
        # On use: an API that is asked for JSON alone does without the 60 MB of Polars.
        from crypto_intel.serving import frames  # noqa: PLC0415

        return frames.WRITERS[kind](frames.to_frame(page))

    return write


_WRITERS: dict[Format, Callable[[Page], bytes]] = {
    "json": _json,
    "csv": _table("csv"),
    "parquet": _table("parquet"),
    "arrow": _table("arrow"),
}
