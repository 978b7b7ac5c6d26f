"""Who asks: an API key, a Supabase access token, or, where reads are open, anybody on this machine.

Credentials come in headers alone, so that no log of addresses holds one. What is wrong with one is not said: whoever
guesses learns nothing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import structlog

from crypto_intel.serving import keys
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.database import AsyncDatabase
from crypto_intel.serving.keys import ApiKey
from crypto_intel.serving.queries.query import Query
from crypto_intel.serving.settings import Api, Jwt

KEPT_S = 5.0
"""How long a key is remembered: revoking takes effect within these seconds."""

KEPT_KEYS = 1_000
_ASYMMETRIC = ["ES256", "RS256", "EdDSA"]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks. `identity` is what limits and logs know: key:<id>, user:<subject> or open:<address>."""

    identity: str
    scopes: frozenset[str]
    rate_per_minute: int | None = None
    expires_at: float | None = None

    def may(self, scope: str) -> bool:
        """Has the scope, or one that includes it."""
        return scope in self.scopes or "admin" in self.scopes


def unauthorized(detail: str = "a key or an access token is needed, and this is none that is good") -> ProblemError:
    """The answer to a credential that is missing or bad."""
    return ProblemError(401, "unauthorized", detail, WWW_Authenticate='Bearer realm="crypto-intel"')


class Gate:
    """Tells who a credential is of.

    Args:
        settings: of the API.
        database: where keys are.
    """

    def __init__(self, settings: Api, database: AsyncDatabase) -> None:
        self._settings = settings
        self._keys = _KeyRing(database)
        self._tokens = _Tokens(settings.jwt)

    async def caller(self, credential: str | None, address: str) -> Caller:
        """Who this is.

        Raises:
            ProblemError: 401 where the credential is missing, wrong, expired or revoked.
            UnavailableError: keys cannot be looked up now.
        """
        if credential is None:
            if self._settings.open_reads:
                return Caller(f"open:{address}", frozenset({"read"}))
            raise unauthorized("send a key as `Authorization: Bearer ci_...`; make one: crypto-intel keys create")
        if credential.startswith(keys.PREFIX):
            return await self._keys.caller(credential)
        return await self._tokens.caller(credential)

    async def is_still_admin(self, identity: str) -> bool:
        """The key of this identity is good now and may everything; for sessions that keep no key.

        Raises:
            UnavailableError: keys cannot be looked up now.
        """
        kind, _, key_id = identity.partition(":")
        key = await self._keys.find(key_id) if kind == "key" else None
        return key is not None and key.state == "good" and "admin" in key.scopes


class _KeyRing:
    # Keys as the database has them, remembered for some seconds; unknown ids too.
    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._known: dict[str, tuple[float, ApiKey | None]] = {}

    async def caller(self, token: str) -> Caller:
        parts = keys.split(token)
        key = await self.find(parts[0]) if parts else None
        if parts is None or key is None or not key.is_good(parts[1], datetime.now(UTC)):
            raise unauthorized()
        expires = key.expires_at.timestamp() if key.expires_at else None
        return Caller(f"key:{key.key_id}", frozenset(key.scopes), key.rate_per_minute, expires)

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, good or not."""
        now = time.monotonic()
        kept = self._known.get(key_id)
        if kept and now - kept[0] < KEPT_S:
            return kept[1]
        statement = f"SELECT {keys.COLUMNS} FROM ops.api_keys WHERE key_id = %(key_id)s"  # noqa: S608 - constants
        rows = await self._database.rows(Query("api_key", statement, {"key_id": key_id}, ()))
        key = ApiKey(*rows[0]) if rows else None
        if len(self._known) >= KEPT_KEYS:
            self._known.clear()
        self._known[key_id] = (now, key)
        return key


class _Tokens:
    # Supabase's access tokens. The algorithm is ours to say, never the token's.
    def __init__(self, settings: Jwt) -> None:
        self._settings = settings
        url = settings.jwks_url
        # The set is kept for its time; single keys, which PyJWT would keep until the process ends, are not.
        self._jwks = jwt.PyJWKClient(url, cache_keys=False, lifespan=settings.jwks_kept_s, timeout=5) if url else None

    async def caller(self, token: str) -> Caller:
        if len(token) > 8_192:
            raise unauthorized()
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, ValueError):
            raise unauthorized() from None
        return _caller_of(claims)

    async def _claims(self, token: str) -> dict[str, Any]:
        algorithm = jwt.get_unverified_header(token).get("alg")
        key: Any = None
        if self._settings.secret and algorithm == "HS256":
            key, allowed = self._settings.secret.get_secret_value(), ["HS256"]
        elif self._jwks and algorithm in _ASYMMETRIC:
            # It may fetch: its own thread. The key says which algorithm it is for.
            found = await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, token)
            key, allowed = found.key, [algorithm]
        if key is None:
            raise jwt.InvalidAlgorithmError
        return jwt.decode(
            token,
            key,
            algorithms=allowed,
            audience=self._settings.audience,
            issuer=self._settings.issuer,
            leeway=self._settings.leeway_s,
            options={"require": ["exp", "sub", "aud"]},
        )


def _caller_of(claims: dict[str, Any]) -> Caller:
    # Only a project's server can write app_metadata; user_metadata is the user's own and counts for nothing.
    role, subject = claims.get("role"), claims.get("sub")
    if role not in {"authenticated", "service_role"} or not isinstance(subject, str):
        raise ProblemError(403, "forbidden", "this token's role may read nothing")
    metadata = claims.get("app_metadata")
    given = metadata.get("crypto_intel_scopes", []) if isinstance(metadata, dict) else []
    extra = {scope for scope in given if scope in keys.SCOPES} if isinstance(given, list) else set()
    scopes = frozenset({"read", "alerts", "predictions"} | extra)
    return Caller(f"user:{subject[:100]}", scopes, expires_at=float(claims["exp"]))
