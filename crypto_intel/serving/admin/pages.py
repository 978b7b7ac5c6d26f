"""The pages put together: their login, their session, their connection to the database.

Who logs in gives a name, for the audit, and an API key with the scope `admin`. The key itself is kept nowhere: the
session holds its public id, and each request looks whether that key is still good. The database is used as the role
ci_admin, which may change these tables and nothing else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import psycopg
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.contrib.sqla import Admin
from starlette_admin.exceptions import LoginFailed

from crypto_intel.serving.admin.views import all_views, fit_name
from crypto_intel.serving.api.auth import Gate
from crypto_intel.serving.api.limits import Limiter
from crypto_intel.serving.api.problems import ProblemError
from crypto_intel.serving.database import ADMIN_ROLE, STATEMENT_S
from crypto_intel.serving.settings import LOOPBACK, Api

PATH = "/admin"
SESSION_S = 8 * 3_600
CONNECTIONS = 2


@dataclass
class _Admin(AdminUser):
    """Who is logged in; `actor` is what the audit keeps."""

    actor: str = ""


class KeyLogin(AuthProvider):
    """Login with an admin key of the API."""

    async def login(self, username: str, password: str, remember_me: bool, request: Request) -> None:
        """Begin a session.

        Raises:
            LoginFailed: the name does not fit, the key is not good, or too many were tried.
        """
        name = fit_name(username)
        if name is None:
            raise LoginFailed("Your name, in plain letters: the audit keeps it")
        gate, limiter = _services(request)
        address = request.client.host if request.client else "unknown"
        try:
            caller = await gate.caller(password.strip(), address)
        except ProblemError:
            caller = None
        if caller is None or not caller.may("admin"):
            try:
                await limiter.take_failure(address)
            except ProblemError as problem:
                raise LoginFailed(problem.detail) from None
            raise LoginFailed("This is no key with the scope admin: crypto-intel keys create NAME --scope admin")
        request.session.update({"identity": caller.identity, "name": name})

    async def authenticate(self, request: Request) -> AdminUser | None:
        """The admin of the session, while the key is good."""
        identity, name = request.session.get("identity", ""), request.session.get("name", "")
        gate, _ = _services(request)
        if not name or not await gate.is_still_admin(identity):
            return None
        return _Admin(name, actor=f"{identity} {name}")

    async def logout(self, request: Request) -> None:
        """End the session."""
        request.session.clear()


def _services(request: Request) -> tuple[Gate, Limiter]:
    services = request.app.state.serving.services
    return services.gate, services.limiter


def add_admin(app: FastAPI, settings: Api, dsn: SecretStr) -> None:
    """Mount the pages at /admin."""
    secret = settings.admin_secret.get_secret_value() if settings.admin_secret else secrets.token_hex(32)
    session = Middleware(
        SessionMiddleware,
        secret_key=secret,
        session_cookie="crypto_intel_admin",
        max_age=SESSION_S,
        same_site="strict",
        https_only=settings.host not in LOOPBACK,
        path=PATH,
    )
    pages = Admin(
        _engine(dsn),
        title="Crypto Intel",
        base_url=PATH,
        auth_provider=KeyLogin(),
        secret_key=secret,
        middlewares=[session],
    )
    for view in all_views():
        pages.add_view(view)
    pages.mount_to(app)
    pages.app.state.serving = app.state  # the services are made when the app starts


def _engine(dsn: SecretStr) -> Engine:
    def connect() -> psycopg.Connection:
        options = f"-c timezone=UTC -c statement_timeout={STATEMENT_S}s -c role={ADMIN_ROLE}"
        return psycopg.connect(
            dsn.get_secret_value(), connect_timeout=5, options=options, application_name="crypto-intel admin"
        )

    # It connects on its first use. What is written is in no message: a name may be anything.
    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
    )
