"""Logs of the streaming processes: one line an event on standard output, as text or JSON; times are UTC.

Every line that concerns something with an id carries it under its own name: `query`, `batch_id`, `alert_id`, `venue`,
`symbol`, `first_id`, `last_id`; `crypto-intel trace` goes on from there. Never give a key, a DSN or a whole settings
object: what looks like a password in a URL or a key in a text is blotted out all the same. Tracebacks are logged
without the values of variables, which structlog's own defaults would show.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRETS = (
    re.compile(r"(?P<before>://[^:/?#\s]*:)[^@/\s]+(?=@)"),  # user:password@ in an address
    re.compile(r"(?i)(?P<before>(?:\b|_)(?:api_?key|token|password|secret|apikey)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;)]+"),
    re.compile(r"(?i)(?P<before>\bbearer\s+)[\w.~+/-]{8,}=*"),
)


def blot(text: str) -> str:
    """The text with what looks like a secret in it made unreadable."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\g<before>***", text)
    return text


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = blot(value)
    return event


class _Blotted(logging.Formatter):
    """Lines of libraries, which know nothing of our secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return blot(super().format(record))


def configure_log(*, json: bool = False, level: int = logging.INFO) -> None:
    """Set up structlog for this process, and the standard library's log at warning level beside it.

    Args:
        json: one JSON object a line instead of text.
        level: least level that is written.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Blotted("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
