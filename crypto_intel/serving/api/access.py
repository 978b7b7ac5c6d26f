"""What every endpoint asks first: may this caller, and how much is left. Used as dependencies of routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from crypto_intel.serving.api.auth import Caller, Gate
from crypto_intel.serving.api.cache import Cache
from crypto_intel.serving.api.limits import Limiter
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.database import AsyncDatabase
from crypto_intel.serving.settings import ServingSettings

_BEARER = HTTPBearer(auto_error=False, description="A key (`ci_...`) or a Supabase access token.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="A key (`ci_...`).")


@dataclass(frozen=True)
class Services:
    """What the endpoints work with; made when the app starts."""

    settings: ServingSettings
    database: AsyncDatabase
    cache: Cache
    gate: Gate
    limiter: Limiter


async def services(request: Request) -> Services:
    """The app's services."""
    return request.app.state.services  # type: ignore[no-any-return]


Has = Annotated[Services, Depends(services)]


async def identify(has: Services, credential: str | None, address: str) -> Caller:
    """Who this is; bad credentials are counted.

    Raises:
        ProblemError: 401, or 429 after too many of them.
    """
    try:
        return await has.gate.caller(credential, address)
    except ProblemError as problem:
        if problem.status == 401 and credential is not None:
            await has.limiter.take_failure(address)
        raise


async def admit(request: Request, has: Services, scope: str) -> Caller:
    """Who asks, counted once a request however often it is asked for; may they?

    Raises:
        ProblemError: 401, 403 or 429.
        UnavailableError: keys cannot be looked up now.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        address = request.client.host if request.client else "unknown"
        caller = await identify(has, credential_of(request.headers), address)
        request.state.headers = await has.limiter.take(caller)
        request.state.caller = caller
    if not caller.may(scope):
        raise ProblemError(403, "forbidden", f"the scope '{scope}' is needed; this has: {_names(caller)}")
    return caller


def credential_of(headers: Headers) -> str | None:
    """What the headers hold. An empty or unknown credential is a bad one, never none at all."""
    given = headers.get("authorization")
    if given is None:
        return headers.get("x-api-key")
    kind, _, token = given.partition(" ")
    return token if kind.lower() == "bearer" and token else given


def scope_of(annotation: Any) -> str:
    """The scope that `Reader`, `Judge`, `Modeller` or `Admin` asks for."""
    return _SCOPES[get_args(annotation)[1].dependency]


_SCOPES: dict[Any, str] = {}


def _needs(scope: str) -> Callable[..., Awaitable[Caller]]:
    # The two schemes are named for the description; `credential_of` reads the headers.
    async def allowed(
        request: Request,
        has: Has,
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        _key: Annotated[str | None, Security(_HEADER)],
    ) -> Caller:
        return await admit(request, has, scope)

    _SCOPES[allowed] = scope
    return allowed


def _names(caller: Caller) -> str:
    return ", ".join(sorted(caller.scopes)) or "none"


Reader = Annotated[Caller, Depends(_needs("read"))]
Judge = Annotated[Caller, Depends(_needs("alerts"))]
Modeller = Annotated[Caller, Depends(_needs("predictions"))]
Admin = Annotated[Caller, Depends(_needs("admin"))]
