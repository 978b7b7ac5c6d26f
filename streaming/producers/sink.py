"""Where producers put events: the shape of it, without saying what stands behind (kafka.py; a list in tests)."""

from __future__ import annotations

from typing import Protocol

from crypto_intel.contracts.events import Article, FeedStatus, Heartbeat, Quote, Rejected, Trade


class EventSink(Protocol):
    """Takes events of one feed. Nothing blocks but for back-pressure; `flush` waits until all are safe."""

    def trade(self, event: Trade) -> None:
        """A trade, to the partition of its market."""

    def quote(self, event: Quote) -> None:
        """A quote, by its market."""

    def article(self, event: Article) -> None:
        """An article, by its id."""

    def status(self, event: FeedStatus) -> None:
        """What became of the feed."""

    def reject(self, event: Rejected) -> None:
        """Input that could not be used."""

    def heartbeat(self, event: Heartbeat) -> None:
        """To every partition of the feed's topic, behind all events written before."""

    def check(self) -> None:
        """Called often; serves delivery reports.

        Raises:
            FatalError: something could not be delivered.
        """

    async def flush(self) -> None:
        """Return when everything written so far is acknowledged.

        Raises:
            FatalError: something could not be delivered.
        """
