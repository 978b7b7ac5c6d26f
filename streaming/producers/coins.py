"""Which markets a venue's feed takes: those of the table public.coins; without a database those of the settings.

What belongs here: reading that table, adding to it at the start what the settings name, waiting until it changes.
What does not: what a feed does then (trades.py). A database that is away changes nothing: the feed goes on with the
markets that it has, and looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog
from pydantic import SecretStr

from streaming.errors import FatalError, RetryableError
from streaming.sinks.connection import PostgresConnection

_ADD = """
INSERT INTO public.coins (venue, symbol, note) SELECT %s, s, 'from the settings' FROM unnest(%s::text[]) s
ON CONFLICT (venue, symbol) DO NOTHING
"""
_TRACKED = "SELECT symbol FROM public.coins WHERE venue = %s AND is_tracked ORDER BY symbol"

log = structlog.get_logger(__name__)


class Coins:
    """The markets of one venue, as people set them.

    Args:
        venue: whose.
        named: what the settings name; added to the table at the start, and all there is without a database.
        dsn: of the database; None: there is none.
        look_s: seconds between two looks at the table.
    """

    def __init__(self, venue: str, named: Collection[str], dsn: SecretStr | None, look_s: float) -> None:
        self._venue = venue
        self._named = list(named)
        self._look_s = look_s
        self._was_added = False
        self._connection = PostgresConnection(dsn, application=f"crypto-intel producer {venue}") if dsn else None

    async def wanted(self) -> list[str]:
        """Markets to take now, none at all too; those of the settings where the table cannot be read."""
        if self._connection is None:
            return self._named
        try:
            return await asyncio.to_thread(self._read, self._connection)
        except (RetryableError, FatalError) as error:
            log.warning("coins are those of the settings", venue=self._venue, reason=str(error))
            return self._named

    async def changed(self, since: Collection[str]) -> None:
        """Return when the table names other markets than `since`; never, without a database."""
        if self._connection is None:
            await asyncio.Event().wait()
            return
        is_away = False
        while True:
            await asyncio.sleep(self._look_s)
            try:
                found = await asyncio.to_thread(self._read, self._connection)
            except (RetryableError, FatalError) as error:
                if not is_away:  # once, not each time
                    log.warning("the table of coins is away", venue=self._venue, reason=str(error))
                is_away = True
                continue
            is_away = False
            if set(found) != set(since):
                log.info("coins changed", venue=self._venue, new=sorted(set(found) - set(since)),
                         gone=sorted(set(since) - set(found)))  # fmt: skip
                return

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()

    def _read(self, connection: PostgresConnection) -> list[str]:
        with connection.transaction() as transaction:
            if not self._was_added:  # once a process: what people took out meanwhile stays out
                actor = f"producer-{self._venue}"
                transaction.execute("SELECT set_config('crypto_intel.actor', %s, true)", (actor,))
                transaction.execute(_ADD, (self._venue, self._named))
            found = transaction.execute(_TRACKED, (self._venue,)).fetchall()
        self._was_added = True
        return [symbol for (symbol,) in found]
