"""Errors of the streaming part, split by what the caller can do.

    StreamingError
    ├── RetryableError   something outside is away; the same call may succeed later
    ├── RejectedInput    this input can not be used; keep it in the dead letters and go on
    └── FatalError       going on would lose or double data, or a setting is wrong: stop loudly

Third-party errors are mapped at the edge, with `raise ... from`.
"""

from __future__ import annotations


class StreamingError(Exception):
    """Base of all errors that this package raises on purpose."""


class RetryableError(StreamingError):
    """Something outside is away or busy; the caller may repeat the same call."""


class RejectedInput(StreamingError):  # noqa: N818 - it names the input, not a fault of ours
    """An input that can not be used; its bytes belong in the dead letters.

    Args:
        reason: one of a few words, the same for the same fault, so that rejects can be counted.
        detail: for people; never the input itself.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class FatalError(StreamingError):
    """Going on would lose or double data, or a setting can not work: stop and say why."""
