"""Answers to conditional requests: 304 where nothing has changed."""

from __future__ import annotations

import hashlib

from aiohttp import web


def answer(request: web.Request, body: bytes, content_type: str, modified: str = "") -> web.Response:
    """The body with its ETag, or 304 when the client has it already.

    Args:
        request: may carry If-None-Match, which counts alone, or If-Modified-Since.
        body: of the page.
        content_type: of the body.
        modified: an HTTP date, if the page tells one.
    """
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, **({"Last-Modified": modified} if modified else {})}
    told = request.headers.get("If-None-Match")
    since = request.headers.get("If-Modified-Since")
    if told == etag or (told is None and modified and since == modified):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=content_type, headers=headers)
