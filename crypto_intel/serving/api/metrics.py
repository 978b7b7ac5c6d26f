"""What the API does, for Prometheus: requests by route and outcome, how long they take, who follows live updates.

What belongs here: names, units, and the middleware that counts. Routes are named by their templates and statuses by
their class, so that nothing a client writes becomes a label.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streaming.metrics import new_registry

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class ApiMetrics:
    """The figures of one process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or new_registry()
        self.requests = Counter(
            "crypto_intel_api_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "crypto_intel_api_request_seconds", "Until the last byte was sent.", ["route"], buckets=_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.followers = Gauge("crypto_intel_api_followers", "Open WebSockets.", registry=self.registry)


class Count:
    """ASGI middleware, the outermost: it sees what every other one answers.

    Args:
        metrics: told of each request.
    """

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count."""
        if scope["type"] == "http":
            await self._count(scope, receive, send)
        elif scope["type"] == "websocket":
            with self._metrics.followers.track_inprogress():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500  # of an error that nobody turned into an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, f"{status // 100}xx").inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
