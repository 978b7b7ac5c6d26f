"""An answer in JSON, as all pages of the simulator give it."""

from __future__ import annotations

import msgspec
from aiohttp import web


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`content` as JSON; bytes are JSON already."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
