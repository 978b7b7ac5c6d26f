"""Errors of the code location, split by what the caller can do.

    CryptoIntelError
    ├── TransientError    something outside is away or busy; the same call may succeed later
    └── PermanentError    repeating can not help: stop and say why
        └── NotConfigured a setting is missing; the message names it

Third-party errors are mapped at the edge, with `raise ... from`; where their text would hold a secret, `from None`.
"""

from __future__ import annotations


class CryptoIntelError(Exception):
    """Base of all errors that this package raises on purpose."""


class TransientError(CryptoIntelError):
    """Something outside is away or busy; the caller may repeat the same call."""


class PermanentError(CryptoIntelError):
    """Repeating the call can not help."""


class NotConfigured(PermanentError):  # noqa: N818 - it names the state, as the UI shows it
    """A setting that this work needs is missing.

    Args:
        setting: name of the environment variable.
        purpose: what it is needed for.
    """

    def __init__(self, setting: str, purpose: str) -> None:
        super().__init__(f"{setting} is not set: it is needed {purpose}")
        self.setting = setting
