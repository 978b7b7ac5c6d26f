"""What may be asked: one model an endpoint. Anything else in the query string is an error that says what is allowed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from crypto_intel.contracts.rules import PLATFORM
from crypto_intel.contracts.serving import ALERT_STATES, MEASURES
from crypto_intel.contracts.symbols import SYMBOL_PATTERN
from crypto_intel.contracts.tables import GAP_STATES, VENUES
from crypto_intel.serving.queries.bars import Interval
from crypto_intel.serving.queries.markets import RankBy
from crypto_intel.serving.queries.query import MAX_ROWS, Order

Format = Literal["json", "csv", "parquet", "arrow"]
FIRST_YEAR, LAST_YEAR = 1970, 2100
TABLE_PATTERN = r"^[a-z_]{1,60}\.[a-z0-9_]{1,60}$"


def _sane_time(moment: datetime) -> datetime:
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise ValueError(f"a time between {FIRST_YEAR + 1} and {LAST_YEAR - 1}")
    return moment.astimezone(UTC)


def _sane_date(day: date) -> date:
    if not 1800 < day.year < LAST_YEAR:
        raise ValueError(f"a day between 1801 and {LAST_YEAR - 1}")
    return day


def _text_of_time(value: object) -> object:
    # Pydantic would take a number as seconds since 1970, which the description does not offer.
    if isinstance(value, str) and "-" not in value[1:]:
        raise ValueError("ISO 8601, such as 2026-11-20T12:00:00Z")
    return value


Time = Annotated[
    datetime,
    BeforeValidator(_text_of_time),
    AfterValidator(_sane_time),
    Field(description="ISO 8601; without a zone: UTC.", examples=["2026-11-20T12:00:00Z"]),
]
Day = Annotated[
    date,
    BeforeValidator(_text_of_time),
    AfterValidator(_sane_date),
    Field(description="ISO 8601.", examples=["2026-11-20"]),
]
SymbolName = Annotated[
    str, Field(pattern=SYMBOL_PATTERN, description="Market as BASE-QUOTE.", examples=["BTC-USDT"], max_length=26)
]
Asset = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,15}$", description="Asset, e.g. BTC.", examples=["BTC"])]
Venue = Literal[VENUES]  # type: ignore[valid-type]
AlertVenue = Literal[(*VENUES, PLATFORM)]  # type: ignore[valid-type]
"""Incidents of the platform itself have no market."""
Measure = Literal[MEASURES]  # type: ignore[valid-type]
Model = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._-]{1,60}$", description="Model and its version.", examples=["gru-1.2"])
]
AlertId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")]
Limit = Annotated[int, Field(ge=1, le=MAX_ROWS, description="Rows of the page.")]
Cursor = Annotated[
    str | None, Field(max_length=600, pattern=r"^[A-Za-z0-9_-]+$", description="next_cursor of the answer before.")
]


class Params(BaseModel):
    """Parameters of a query string; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class Rendered(Params):
    """For answers that can be had as a table."""

    format: Format | None = Field(default=None, description="Goes before the header Accept; default json.")


class Paged(Rendered):
    """For answers in pages."""

    start: Time | None = Field(default=None, description="From then on, inclusive.")
    end: Time | None = Field(default=None, description="Until then, exclusive.")
    order: Order | None = Field(default=None, description="By time. Default: asc with `start`, else desc.")
    cursor: Cursor = None

    @property
    def direction(self) -> Order:
        """The order, with its default."""
        return self.order or ("asc" if self.start else "desc")


class BarsParams(Paged):
    """Of /bars."""

    symbol: SymbolName
    venue: Venue | None = None
    interval: Interval = Field(
        default="1m", description="1h and 1d: final once closed, before that rolled up from bars of 5 minutes."
    )
    limit: Limit = 500


class IndicatorsParams(Paged):
    """Of /indicators."""

    symbol: SymbolName
    venue: Venue | None = None
    interval: Literal["1m", "5m", "1h"] = Field(default="5m", description="Length of the bars.")
    limit: Limit = 500


class EnrichedParams(Paged):
    """Of /enriched."""

    symbol: SymbolName
    venue: Venue | None = None
    final_only: bool = Field(default=False, description="Leave provisional rows out.")
    limit: Limit = 500


class AsOfParams(Params):
    """Of /as-of."""

    symbol: SymbolName
    venue: Venue
    window_start: Time = Field(description="The minute.")
    known_by: Time = Field(description="The row as it was known then, by the platform clock.")


class NewsParams(Paged):
    """Of /news."""

    asset: Asset | None = None
    q: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^[^\x00]+$",
        description='Words, as a search engine takes them: `bitcoin -etf "spot market"`.',
        examples=["bitcoin"],
    )
    sentiment_min: float | None = Field(default=None, ge=-1, le=1)
    sentiment_max: float | None = Field(default=None, ge=-1, le=1)
    limit: Limit = 100


class AlertsParams(Paged):
    """Of /alerts."""

    symbol: SymbolName | None = None
    venue: AlertVenue | None = None
    state: Literal[ALERT_STATES] | None = None  # type: ignore[valid-type]
    severity: Literal["info", "warning", "critical"] | None = None
    rule: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    limit: Limit = 100


class PredictionsParams(Paged):
    """Of /predictions."""

    model: Model | None = None
    symbol: SymbolName | None = None
    venue: Venue | None = None
    measure: Measure | None = None
    limit: Limit = 500


class GapsParams(Paged):
    """Of /gaps."""

    symbol: SymbolName | None = None
    venue: Venue | None = None
    state: Literal[GAP_STATES] | None = None  # type: ignore[valid-type]
    limit: Limit = 100


class AuditParams(Paged):
    """Of /config/audit."""

    table_name: Annotated[str, Field(pattern=TABLE_PATTERN, examples=["public.coins"])] | None = None
    actor: Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]+$")] | None = None
    limit: Limit = 100


class CompletenessParams(Rendered):
    """Of /completeness."""

    symbol: SymbolName | None = None
    venue: Venue | None = None
    start: Time | None = None
    end: Time | None = None


class MacroParams(Rendered):
    """Of /macro/{series}."""

    as_of: Day | None = Field(default=None, description="As it could be used on that day; default: as known now.")
    start: Day | None = None
    end: Day | None = None
    order: Order = "asc"
    limit: Limit = 1_000
    cursor: Cursor = None


class PricesParams(Rendered):
    """Of /prices."""

    symbol: list[SymbolName] = Field(default_factory=list, max_length=100, description="Repeatable; default all.")
    venue: Venue | None = None


class RankingParams(Rendered):
    """Of /ranking."""

    by: RankBy = "change_24h_pct"
    ascending: bool = Field(default=False, description="The least first: with a change, the greatest falls.")
    limit: int = Field(default=5, ge=1, le=1_000)
