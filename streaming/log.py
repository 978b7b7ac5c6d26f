"""Logs of the streaming processes: one line an event on standard output, as text or JSON; times are UTC.

Values are logged as they are given: never give a key, a DSN or a whole settings object. Tracebacks are logged without
the values of variables, which structlog's own defaults would show.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_log(*, json: bool = False, level: int = logging.INFO) -> None:
    """Set up structlog for this process, and the standard library's log at warning level beside it.

    Args:
        json: one JSON object a line instead of text.
        level: least level that is written.
    """
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
