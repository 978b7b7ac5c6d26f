"""The page that Prometheus reads from a long-running part: `GET /metrics` on a port of its own, where one is set.

What belongs here: a registry and its page. What does not: any figure of a part, which stand beside what they measure.
Names follow Prometheus' conventions: base units, `_total` for what only grows. Labels take words that settings or
contracts list, never ids, addresses or texts, so that the number of series is bounded. Every page also has the process'
memory and CPU (`process_…`) and its version. It has no login: loopback, or the containers' own network.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, start_http_server

log = structlog.get_logger(__name__)


def new_registry() -> CollectorRegistry:
    """A registry that knows the process and the version, for the figures of one part."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    info = Gauge("crypto_intel_build_info", "1; the version is its label.", ["version"], registry=registry)
    info.labels(version("crypto-intel")).set(1)
    return registry


class MetricsPage:
    """Serves a registry from a thread of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._close: Callable[[], None] | None = None

    def serve(self, host: str, port: int | None) -> None:
        """Answer until `close`; without a port nothing is served, and one that is taken is logged and stops nothing."""
        if port is None:
            return
        try:
            server, thread = start_http_server(port, host, registry=self.registry)
        except OSError as error:
            log.warning("no metrics page", port=port, reason=str(error))
            return

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._close = close

    def close(self) -> None:
        """Take the page down."""
        if self._close is not None:
            self._close()
            self._close = None
