"""One page a table: what is shown, what may be changed, and what is checked before the database checks it again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

import anyio.to_thread
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette_admin import (
    BooleanField,
    DateTimeField,
    EnumField,
    FloatField,
    IntegerField,
    JSONField,
    ListField,
    StringField,
)
from starlette_admin.actions import row_action
from starlette_admin.contrib.sqla import ModelView
from starlette_admin.exceptions import ActionFailed, FormValidationError
from starlette_admin.flash import flash

from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.rules import FAMILIES, SEVERITIES, THRESHOLD_OF, BadRulesError, rule_of
from crypto_intel.contracts.symbols import Symbol
from crypto_intel.serving import keys
from crypto_intel.serving.admin.tables import Change, Coin, Key, Retention, Rule

_PER_PAGE = 25
_UNITS = tuple(dict.fromkeys(unit for _, unit in THRESHOLD_OF.values()))
Data = dict[str, Any]


class _View(ModelView):
    """A table whose changes carry who made them. Nothing is imported, and only what says so is deleted."""

    page_size = _PER_PAGE
    importers = ()
    actions = ()
    row_actions: Sequence[str] = ("edit",)

    def can_import(self, request: Request) -> bool:
        """Never: a file of changes is what PATCH /config/crypto is for."""
        return False

    def can_delete(self, request: Request) -> bool:
        """Not unless a page says so: what is let go stays on the books."""
        return False

    async def before_create(self, request: Request, data: Data, obj: Any) -> None:
        """Tell the audit who it is."""
        await tell_actor(request)

    async def before_edit(self, request: Request, data: Data, obj: Any) -> None:
        """Tell the audit who it is."""
        await tell_actor(request)

    async def before_delete(self, request: Request, obj: Any) -> None:
        """Tell the audit who it is."""
        await tell_actor(request)

    async def handle_exception(self, request: Request, exc: Exception) -> None:
        """What the database refused, at the field that it names; its words hold no secret of ours."""
        if isinstance(exc, DBAPIError):
            raise FormValidationError(_refused(exc, self)) from None
        await super().handle_exception(request, exc)


async def tell_actor(request: Request) -> None:
    """Name the admin to the triggers of this transaction."""
    session: Session = request.state.session
    statement = text("SELECT set_config('crypto_intel.actor', :actor, true)")

    def tell() -> None:
        with session.no_autoflush:  # else the change would go first, and nobody's name with it
            session.execute(statement, {"actor": actor_of(request)})

    await anyio.to_thread.run_sync(tell)


def actor_of(request: Request) -> str:
    """Who is logged in, as the audit has it."""
    return str(request.state.admin_user.actor)


def _refused(error: DBAPIError, view: ModelView) -> dict[str | int, Any]:
    told = getattr(getattr(error.orig, "diag", None), "message_primary", None) or "the database refused it"
    named = str(getattr(getattr(error.orig, "diag", None), "constraint_name", "") or "")
    names = [field.name for field in view.fields]
    field = next((name for name in names if name in named), names[0])
    return {field: told}


def _text(name: str, **more: Any) -> StringField:
    return StringField(name, **more)


class CoinView(_View):
    """Tracked coins."""

    fields = (
        EnumField("venue", choices=TRADE_VENUES, required=True),
        _text("symbol", required=True, help_text="BASE-QUOTE, e.g. BTC-USDT", maxlength=26),
        BooleanField("is_tracked", help_text="Producers follow within seconds. What was taken before stays."),
        _text("note", maxlength=1_000, help_text="Why."),
        DateTimeField("changed_at", exclude_from_create=True, exclude_from_edit=True),
    )
    inline_editable_fields = ("is_tracked",)
    searchable_fields = (
        "venue",
        "symbol",
        "note",
    )
    fields_default_sort = (
        "venue",
        "symbol",
    )

    async def validate(self, request: Request, data: Data) -> None:
        """A symbol is one, in our spelling."""
        if data.get("symbol"):
            try:
                data["symbol"] = str(Symbol(data["symbol"]))
            except ValueError as error:
                raise FormValidationError({"symbol": str(error)}) from None
        data["note"] = data.get("note") or ""


class RuleView(_View):
    """Alert rules in force."""

    fields = (
        _text("rule", required=True, maxlength=40, help_text="Its name; its alerts carry it."),
        EnumField("family", choices=FAMILIES, required=True, help_text="What it looks at."),
        BooleanField("enabled"),
        FloatField("threshold", required=True, help_text="From which on it fires, in `unit`."),
        EnumField("unit", choices=_UNITS, required=True),
        IntegerField("window_s", help_text="Of price_move and news_move."),
        IntegerField("baseline_minutes", help_text="Of spikes: minutes whose median is usual."),
        IntegerField("least_minutes", help_text="Of spikes: fewer known minutes make no baseline."),
        IntegerField("cooldown_s", required=True, help_text="It fires once in so long, by market and direction."),
        EnumField("severity", choices=SEVERITIES, help_text="Empty: warning, and critical from twice the threshold."),
        ListField(StringField("markets", help_text="Patterns of venue:symbol; none: every market.")),
        IntegerField("revision", exclude_from_create=True, exclude_from_edit=True),
        _text("changed_by", exclude_from_create=True, exclude_from_edit=True),
        DateTimeField("changed_at", exclude_from_create=True, exclude_from_edit=True),
    )
    inline_editable_fields = ("enabled", "threshold")
    exclude_fields_from_list = ("baseline_minutes", "least_minutes", "markets", "revision")
    fields_default_sort = ("rule",)
    row_actions = ("edit", "delete")

    def can_delete(self, request: Request) -> bool:
        """A rule of the file of rules comes back with its next reading; others are gone."""
        return True

    async def validate(self, request: Request, data: Data) -> None:
        """The same checks as a file of rules gets."""
        data["markets"] = [part for part in data.get("markets") or [] if part]
        data["severity"] = data.get("severity") or None
        data["changed_by"] = actor_of(request)[:200]
        try:
            name = data.get("rule") or request.query_params.get("pk")
            rule_of(
                {
                    "rule": name,
                    "window_s": None,
                    "baseline_minutes": None,
                    "least_minutes": None,
                    "enabled": False,
                    **data,
                }
            )
        except BadRulesError as error:
            lines = str(error).splitlines()
            told = lines[1].strip() if len(lines) > 1 else lines[0]
            named = next((field.name for field in self.fields if told.startswith(field.name)), "threshold")
            raise FormValidationError({named: told}) from None

    async def before_create(self, request: Request, data: Data, obj: Any) -> None:
        """Tell who it is, in the row too."""
        await super().before_create(request, data, obj)
        obj.changed_by = data["changed_by"]

    async def before_edit(self, request: Request, data: Data, obj: Any) -> None:
        """Tell who it is, in the row too."""
        await super().before_edit(request, data, obj)
        obj.changed_by = data["changed_by"]


class KeyView(_View):
    """Keys of the API."""

    fields = (
        _text("key_id", exclude_from_create=True, exclude_from_edit=True),
        _text("name", required=True, maxlength=100),
        EnumField("scopes", choices=keys.SCOPES, multiple=True, required=True),
        IntegerField("rate_per_minute", min=1, help_text="Requests a minute; empty: as the API is set."),
        DateTimeField("expires_at", help_text="Empty: never."),
        DateTimeField("created_at", exclude_from_create=True, exclude_from_edit=True),
        DateTimeField("revoked_at", exclude_from_create=True, exclude_from_edit=True),
    )
    fields_default_sort = (("created_at", True),)
    row_actions = ("edit", "revoke")

    async def before_create(self, request: Request, data: Data, obj: Any) -> None:
        """Make the key; it is shown once, on the next page, and kept as its hash."""
        await super().before_create(request, data, obj)
        secret = secrets.token_urlsafe(32)
        obj.key_id, obj.secret_sha256 = secrets.token_hex(6), keys.digest(secret)
        request.state.new_key = f"{keys.PREFIX}{obj.key_id}_{secret}"

    async def after_create(self, request: Request, obj: Any) -> None:
        """Show it on the next page, which there only is once it is kept."""
        flash(request, f"The new key, shown this once: {request.state.new_key}", "warning")

    @row_action(
        name="revoke",
        text="Revoke",
        confirmation="It is refused from now on, for ever.",
        icon_class="fa-solid fa-ban",
        action_btn_class="btn btn-danger",
    )
    async def revoke(self, request: Request, pk: Any) -> str:
        """Refuse the key from now on."""
        await tell_actor(request)
        statement = text(
            "UPDATE ops.api_keys SET revoked_at = now() WHERE key_id = :id AND revoked_at IS NULL RETURNING 1"
        )
        session: Session = request.state.session
        done = await anyio.to_thread.run_sync(lambda: session.execute(statement, {"id": str(pk)}).all())
        if not done:
            raise ActionFailed("it was revoked before")
        return f"{pk} is revoked"


class RetentionView(_View):
    """How long rows are kept."""

    fields = (
        _text("table_name", exclude_from_edit=True),
        _text("time_column", exclude_from_edit=True),
        IntegerField("keep_days", min=1, max=36_500, required=True, help_text="Counted from the newest event."),
        DateTimeField("changed_at", exclude_from_edit=True),
    )
    inline_editable_fields = ("keep_days",)
    fields_default_sort = ("table_name",)

    def can_create(self, request: Request) -> bool:
        """Which tables have a clock is the schema's to say."""
        return False


class ChangeView(_View):
    """Who changed what."""

    fields = (
        IntegerField("audit_id"),
        DateTimeField("changed_at"),
        _text("actor"),
        _text("table_name"),
        _text("action"),
        _text("row_key"),
        JSONField("before"),
        JSONField("after"),
    )
    row_actions = ()
    fields_default_sort = (("audit_id", True),)
    searchable_fields = (
        "actor",
        "table_name",
        "row_key",
    )
    exclude_fields_from_list = (
        "before",
        "after",
    )

    def can_create(self, request: Request) -> bool:
        """The database writes it."""
        return False

    def can_edit(self, request: Request) -> bool:
        """Nothing is ever changed here."""
        return False


def all_views() -> list[_View]:
    """The pages in their order."""
    return [
        CoinView(Coin, "fa-solid fa-coins", "Coin", "Tracked coins", key="coins"),
        RuleView(Rule, "fa-solid fa-bell", "Alert rule", "Alert rules", key="rules"),
        KeyView(Key, "fa-solid fa-key", "API key", "API keys", key="keys"),
        RetentionView(Retention, "fa-solid fa-clock-rotate-left", "Retention", "Retention", key="retention"),
        ChangeView(Change, "fa-solid fa-list-check", "Change", "Audit", key="audit"),
    ]


_SHAPE = re.compile(r"[\x20-\x7e]{1,60}")


def fit_name(name: str) -> str | None:
    """A person's name as the audit can hold it; None when it can not."""
    return name.strip() if _SHAPE.fullmatch(name.strip()) else None
