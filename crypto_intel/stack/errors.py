"""Errors of the stack: each says what is wrong and, in `hint`, how to mend it."""

from __future__ import annotations


class StackError(Exception):
    """Something on this machine stops the stack, and the user can mend it.

    Args:
        message: what is wrong, with the value that is.
        hint: what to do about it, as a sentence; empty when the message says it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class JavaMissingError(StackError):
    """No Java that Spark and Kafka can run on."""


class JarsMissingError(StackError):
    """The JVM jars are not complete and could not be fetched."""


class ServerFailedError(StackError):
    """A server ended or did not answer in time; the message holds its last log lines."""


class AlreadyRunningError(StackError):
    """Another stack runs on the same data folder."""


class WrongSourceError(StackError):
    """The data folder was made with another source."""
