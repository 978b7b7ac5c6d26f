"""The WebSocket: /api/v1/ws. OpenAPI has no words for it; serving/api/live/connection.py says its messages."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.websockets import WebSocket

from crypto_intel.serving.api.access import Services
from crypto_intel.serving.api.live.connection import Connection, origin_is_allowed
from crypto_intel.serving.api.live.hub import Hub

router = APIRouter()


@router.websocket("/ws")
async def follow(socket: WebSocket) -> None:
    """Prices, bars, alerts and feeds as they change."""
    has: Services = socket.app.state.services
    hub: Hub = socket.app.state.hub
    if not origin_is_allowed(socket, has.settings.api.origins):
        await socket.close(1008)  # before it is accepted: the handshake is answered with 403
        return
    if hub.clients >= has.settings.api.ws_clients:
        await socket.close(1013)
        return
    await socket.accept()
    await Connection(socket, has, hub).serve()
