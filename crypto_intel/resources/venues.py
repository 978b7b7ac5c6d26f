"""Venues' REST as runs ask it: for trades that stayed missing. The same clients and limits as the producers'."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dagster as dg

from crypto_intel.core.errors import PermanentError, TransientError
from streaming.errors import FatalError, RetryableError
from streaming.producers.missing import Missing, Refetched


class Venues(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Asks the venues that the producers' settings name; keys stay in the environment."""

    def refetch(self, venue: str, wanted: Sequence[Missing], here: Sequence[Missing]) -> Refetched:
        """Have missing trades written to Kafka, and told; see streaming.producers.refetch.

        Raises:
            TransientError: the venue, Kafka or the platform clock is away.
            PermanentError: Kafka did not take an event, or a setting is wrong.
        """
        # A producer's parts: half a second and 40 MB that only such a run needs.
        from streaming.producers.refetch import refetch  # noqa: PLC0415
        from streaming.producers.settings import ProducerSettings  # noqa: PLC0415

        try:
            return asyncio.run(refetch(ProducerSettings(), venue, wanted, here))
        except RetryableError as error:
            raise TransientError(f"{venue}: {error}") from error
        except FatalError as error:
            raise PermanentError(f"{venue}: {error}") from error
