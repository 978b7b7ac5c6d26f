"""Guarantee: a message is taken by a channel, or the failure is told in words that hold no secret.

Channels are Apprise URLs in the settings (CRYPTO_INTEL_CHANNELS__NAME): mail, Slack, Telegram, a webhook, and a hundred
more. A message may arrive twice where a channel took it and its answer was lost.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import dagster as dg
from pydantic import SecretStr

from crypto_intel.contracts.settings import Settings
from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError

TIMEOUT_S = 8
MAX_ERROR_CHARS = 300

_LEVELS = {"info": "info", "warning": "warning", "critical": "failure", "ended": "success"}


class Channels(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Sends messages to the channels that the settings name."""

    def names(self) -> list[str]:
        """Of the channels, sorted."""
        return sorted(self._urls())

    def send(self, channel: str, title: str, body: str, level: str = "info") -> None:
        """Send a message.

        Args:
            level: info, warning, critical or ended.

        Raises:
            NotConfigured: there is no such channel.
            PermanentError: its address can not be one.
            TransientError: it did not take the message; the text says why and holds no secret.
        """
        import apprise  # noqa: PLC0415 - half a second and 30 MB that only runs with channels need

        url = self._urls().get(channel)
        if url is None:
            raise NotConfigured(f"CRYPTO_INTEL_CHANNELS__{channel.upper()}", f"to send to the channel {channel}")
        service = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, plugin_paths=None))
        if not service.add(url.get_secret_value()):
            raise PermanentError(
                f"CRYPTO_INTEL_CHANNELS__{channel.upper()} is no address that Apprise knows, such as json://host/path, "
                "mailtos://user:password@host, slack://…, tgram://…"
            )
        said: list[str] = []
        is_taken = service.notify(
            body=body,
            title=title,
            notify_type=_LEVELS[level],
            body_format="text",
            timeout=TIMEOUT_S,
            log_callback=lambda entry, _: said.append(entry.message),
            log_level=logging.WARNING,
        )
        if not is_taken:
            raise TransientError(without_secrets("; ".join(said) or "it was not taken", url)[:MAX_ERROR_CHARS])

    def _urls(self) -> Mapping[str, SecretStr]:
        channels: dict[str, SecretStr] = Settings().channels
        return channels


def without_secrets(text: str, url: SecretStr) -> str:
    """The text without anything that stands in the URL behind its scheme, host aside."""
    parts = urlsplit(url.get_secret_value())
    pieces = {parts.username or "", parts.password or "", *re.split(r"[/?&=,]", f"{parts.path}?{parts.query}")}
    if parts.scheme not in ("json", "jsons", "mailto", "mailtos"):
        pieces.add(parts.hostname or "")  # where a service has a known address, the first part is a token
        pieces.add(parts.netloc)
    secrets = pieces | {unquote(piece) for piece in pieces}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, "…")
    return text
