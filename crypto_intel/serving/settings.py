"""Settings of what is served: the API's address, who may use it and how much, and the dashboard's address.

Read when a server starts, never at import. Prefix CRYPTO_INTEL_, nested by two underscores: CRYPTO_INTEL_API__PORT.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from crypto_intel.contracts.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
Names = Annotated[tuple[str, ...], NoDecode]


class Jwt(BaseModel):
    """How Supabase's access tokens are checked; neither secret nor keys: no token is taken.

    `secret` for projects that sign with HS256, `jwks_url` for those with asymmetric keys
    (https://<project>.supabase.co/auth/v1/.well-known/jwks.json).
    """

    secret: SecretStr | None = Field(default=None, min_length=32)
    jwks_url: str | None = Field(default=None, pattern=r"^https://|^http://(127\.0\.0\.1|localhost)[:/]")
    jwks_kept_s: float = Field(
        default=300, gt=0, le=86_400, description="A signing key that the project revokes is refused here that late."
    )
    audience: str = "authenticated"
    issuer: str | None = None
    leeway_s: int = Field(default=10, ge=0, le=120, description="Of clocks that differ.")


class Api(BaseModel):
    """The REST and WebSocket server."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    open_reads: bool = Field(
        default=False,
        description="Reads need no key. Only on loopback: the demo sets it; writes always need a key.",
    )
    hosts: Names = Field(default=("127.0.0.1", "localhost"), description="Host names that requests may use.")
    origins: Names = Field(default=(), description="Web origins whose pages may use the API; others get no answer.")
    rate_per_minute: int = Field(default=1_200, ge=1, description="Requests a client; a key may have its own.")
    count_in_redis: bool = Field(default=False, description="Set it where several API processes serve one address.")
    keep_s: float = Field(default=1.0, ge=0, le=60, description="How old an answer to a read may be; 0: none is kept.")
    admin: bool = Field(
        default=True, description="Serve the admin's pages at /admin, behind a login with an admin key."
    )
    admin_secret: SecretStr | None = Field(
        default=None, min_length=32, description="Signs the admin's sessions; unset: a new one at each start."
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes; one serves some hundreds of requests a second."
    )
    jwt: Jwt = Jwt()
    connections: int = Field(default=8, ge=2, le=100, description="Of PostgreSQL, at most.")
    ws_clients: int = Field(default=500, ge=1, description="WebSocket clients at once.")

    @field_validator("hosts", "origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _shares_sessions(self) -> Api:
        if self.admin and self.workers > 1 and self.admin_secret is None:
            raise ValueError("several workers share the admin's sessions: set admin_secret, or admin to false")
        return self

    @model_validator(mode="after")
    def _open_only_on_loopback(self) -> Api:
        if self.open_reads and self.host not in LOOPBACK:
            raise ValueError("open_reads is for loopback only: set host to 127.0.0.1, or give out keys")
        return self


class Dashboard(BaseModel):
    """The pages. They have no login: whoever reaches the address reads everything."""

    host: str = "127.0.0.1"
    port: int = Field(default=8501, ge=1, le=65535)
    refresh_s: int = Field(default=60, ge=5, description="How often a page reads again.")


class ServingSettings(Settings):
    """Everything that API, dashboard and key commands read."""

    api: Api = Api()
    dashboard: Dashboard = Dashboard()
    log_level: Literal["INFO", "WARNING"] = "WARNING"
