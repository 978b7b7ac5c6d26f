"""A Supabase project through its API, for those who have its URL and a key but no database URL.

Guarantee: at least once. Each request is a transaction of its own, so a crash within a batch leaves a part of it, and
the repetition completes it: upserts on keys and the database's own row rules make repeating harmless. Readers may see
a bar before its enriched row. Alerts wait in memory until Kafka has them; a crash before that repeats the batch, which
raises them again. With a database URL, `PostgresSink` gives one transaction a batch instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import polars as pl
from postgrest.exceptions import APIError
from pydantic import SecretStr

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.serving import ALERTS
from crypto_intel.contracts.settings import Settings
from streaming.errors import FatalError, RetryableError
from streaming.sinks.postgres import PostgresSink, Upsert, alert_row, gap_rows, json_rows, json_value
from streaming.sinks.upsert import checked

if TYPE_CHECKING:
    from supabase import Client

CHUNK_ROWS = 500
TIMEOUT_S = 15.0

# Connection lost (08), serialisation and deadlock (40), resources (53), lock not available (55P03), shutdown or
# statement timeout (57); PostgREST's own trouble with its database (PGRST00x); and what a gateway answers.
_WORTH_A_RETRY = re.compile(r"^(08|40|53|57).{3}$|^55P03$|^PGRST00\d$|^(408|425|429|5\d\d)$")

_NO_TARGET = (
    "nothing to publish to: set CRYPTO_INTEL_POSTGRES_DSN (or SUPABASE_DB_URL), or both SUPABASE_URL and SUPABASE_KEY"
)


class ServingSink(Protocol):
    """Where one streaming query publishes its batches; see `PostgresSink.publish`."""

    def publish(
        self,
        batch_id: int,
        upserts: Sequence[Upsert] = (),
        *,
        alerts: Sequence[Alert] = (),
        refresh_enriched: pl.DataFrame | None = None,
        known_at: datetime | None = None,
        feed_status: pl.DataFrame | None = None,
    ) -> bool:
        """Write a batch; False if it was written before."""

    def pending_alerts(self, limit: int = 500) -> list[tuple[str, Alert]]:
        """Alerts that Kafka has not acknowledged yet, oldest first."""

    def mark_published(self, ids: Sequence[str]) -> None:
        """Note that Kafka has acknowledged these alerts."""

    def close(self) -> None:
        """Let connections go."""


def make_sink(settings: Settings, *, query: str, epoch: str) -> ServingSink:
    """The sink that the settings name: the database where its URL is known, else Supabase's API.

    Raises:
        FatalError: neither is named, or what is named can not be an address.
    """
    if settings.postgres_dsn is not None:
        return PostgresSink(settings.postgres_dsn, query=query, epoch=epoch)
    if settings.supabase_url and settings.supabase_key is not None:
        return SupabaseSink(settings.supabase_url, settings.supabase_key, query=query)
    raise FatalError(_NO_TARGET)


class SupabaseSink:
    """Where one streaming query publishes its batches, through the API. Used by one thread at a time.

    Args:
        url: of the project, `https://<project>.supabase.co`.
        key: its secret (service role) key; never shown again.
        query: name of the streaming query.
    """

    def __init__(self, url: str, key: SecretStr, *, query: str) -> None:
        if not re.match(r"^https?://[^/@]+/?$", url):
            raise FatalError("SUPABASE_URL is not an address such as https://project.supabase.co")
        self._url = url
        self._key = key
        self._query = query
        self._client: Client | None = None
        self._newest_done: int | None = None
        self._pending: dict[str, Alert] = {}

    def __repr__(self) -> str:
        return f"SupabaseSink(query={self._query!r})"

    def publish(
        self,
        batch_id: int,
        upserts: Sequence[Upsert] = (),
        *,
        alerts: Sequence[Alert] = (),
        refresh_enriched: pl.DataFrame | None = None,
        known_at: datetime | None = None,
        feed_status: pl.DataFrame | None = None,
    ) -> bool:
        """Write a batch; arguments as of `PostgresSink.publish`.

        Returns:
            False if this object wrote this batch just before; after a restart it is written again.

        Raises:
            RetryableError: the API is away or busy; repeat the same call.
            FatalError: the rows do not fit, or the key may not write.
        """
        if batch_id == self._newest_done:
            return False
        for upsert in upserts:
            self._upsert(upsert)
        self._raise(alerts)
        if feed_status is not None and (statuses := gap_rows(feed_status)):
            self._call("record_gaps", {"statuses": statuses})
        if refresh_enriched is not None and refresh_enriched.height:
            self._refresh(refresh_enriched, known_at)
        self._newest_done = batch_id
        return True

    def pending_alerts(self, limit: int = 500) -> list[tuple[str, Alert]]:
        """Alerts of this process that Kafka has not acknowledged yet, oldest first."""
        return list(self._pending.items())[:limit]

    def mark_published(self, ids: Sequence[str]) -> None:
        """Note that Kafka has acknowledged these alerts."""
        for alert_id in ids:
            self._pending.pop(alert_id, None)

    def close(self) -> None:
        """Let the connections go; the next use makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.postgrest.session.close()

    def _upsert(self, upsert: Upsert) -> None:
        served = checked(upsert.table, upsert.frame)
        rows = json_rows(upsert.frame)
        for chunk in _chunks(rows):
            self._send(
                lambda client, chunk=chunk: client.table(served.name).upsert(  # type: ignore[misc]
                    chunk,
                    on_conflict=",".join(served.key),
                    ignore_duplicates=upsert.only_new,
                    returning="minimal",
                    default_to_null=False,
                )
            )

    def _raise(self, alerts: Sequence[Alert]) -> None:
        rows = [{name: json_value(value) for name, value in alert_row(alert).items()} for alert in alerts]
        for chunk in _chunks(rows):
            self._send(
                lambda client, chunk=chunk: client.table(ALERTS.name).upsert(  # type: ignore[misc]
                    chunk, on_conflict="alert_id", ignore_duplicates=True, returning="minimal", default_to_null=False
                )
            )
        self._pending.update({alert.alert_id: alert for alert in alerts})

    def _refresh(self, keys: pl.DataFrame, known_at: datetime | None) -> None:
        if known_at is None:
            raise FatalError("known_at is needed to refresh enriched rows")
        rows = json_rows(keys.select("venue", "symbol", "window_start").unique())
        for chunk in _chunks(rows):
            self._call("refresh_market_enriched", {"window_keys": chunk, "as_known_at": json_value(known_at)})

    def _call(self, function: str, arguments: dict[str, Any]) -> None:
        self._send(lambda client: client.rpc(function, arguments))

    def _send(self, request: Callable[[Client], Any]) -> None:
        try:
            request(self._open()).execute()
        except APIError as error:
            code = error.code or ""
            text = f"{code}: {error.message}"
            if _WORTH_A_RETRY.match(code):
                raise RetryableError(f"Supabase is not available: {text}") from None
            raise FatalError(f"Supabase refused (is SUPABASE_KEY the service role's?): {text}") from None
        except httpx.HTTPError as error:
            self.close()
            raise RetryableError(f"Supabase is not available: {type(error).__name__}") from None
        except ValueError as error:  # NaN or infinity, which JSON does not know
            raise FatalError(f"rows do not fit into JSON: {error}") from None

    def _open(self) -> Client:
        if self._client is None:
            from supabase import ClientOptions, create_client  # noqa: PLC0415 - a second of import that few need

            options = ClientOptions(
                auto_refresh_token=False, persist_session=False, httpx_client=httpx.Client(timeout=TIMEOUT_S)
            )
            self._client = create_client(self._url, self._key.get_secret_value(), options)
        return self._client


def _chunks(rows: Sequence[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield list(rows[start : start + CHUNK_ROWS])
