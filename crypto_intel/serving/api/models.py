"""What the API answers, as Pydantic models made from the contracts' columns; they document, msgspec encodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from crypto_intel.contracts.columns import Column
from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.contracts.rules import SEVERITIES
from crypto_intel.contracts.serving import (
    ALERT_RULES,
    ARTICLES,
    BARS_1M,
    COINS,
    FEEDS,
    GAPS,
    INDICATORS,
    LIVE_MARKETS,
    MARKET_ENRICHED,
)
from crypto_intel.contracts.symbols import SYMBOL_PATTERN
from crypto_intel.serving.api.params import TABLE_PATTERN, Measure, Model, SymbolName, Time, Venue
from crypto_intel.serving.queries.alerts import ACTION_COLUMNS, ALERT_COLUMNS
from crypto_intel.serving.queries.config import AUDIT_COLUMNS, RETENTION_COLUMNS
from crypto_intel.serving.queries.macro import MACRO_COLUMNS, SERIES_COLUMNS
from crypto_intel.serving.queries.markets import RANKING_COLUMNS, SYMBOL_COLUMNS
from crypto_intel.serving.queries.predictions import PREDICTION_COLUMNS
from crypto_intel.serving.queries.trust import COMPLETENESS_COLUMNS, FEED_COLUMNS, STREAM_COLUMNS

_PYTHON: dict[str, Any] = {
    "string": str,
    "bigint": int,
    "int": int,
    "double": float,
    "boolean": bool,
    "date": date,
    "timestamp": datetime,
    "array<string>": list[str],
}
_EXAMPLES: dict[str, Any] = {
    "string": "text",
    "bigint": 10,
    "int": 1,
    "double": 61556.01,
    "boolean": True,
    "date": "2026-11-20",
    "timestamp": "2026-11-20T12:00:00Z",
    "array<string>": ["BTC"],
}
_NAMED_EXAMPLES: dict[str, Any] = {
    "venue": "binance",
    "symbol": "BTC-USDT",
    "completeness": "complete",
    "completeness_reason": "",
    "coverage_pct": 100.0,
    "source": "sim",
    "window_end": "2026-11-20T12:01:00Z",
}


def model_of(name: str, columns: Sequence[Column], doc: str) -> type[BaseModel]:
    """A model with a field a column: its type, its doc, its allowed values, an example."""
    fields: dict[str, Any] = {}
    for column in columns:
        base: Any = Literal[column.allowed] if column.allowed and column.name != "venue" else _PYTHON[column.type]
        example = _NAMED_EXAMPLES.get(column.name, column.allowed[0] if column.allowed else _EXAMPLES[column.type])
        details = Field(description=column.doc, examples=[example])
        fields[column.name] = (base | None if column.nullable else base, details)
    return create_model(name, __doc__=doc, __config__=ConfigDict(extra="forbid"), **fields)


def page_of(row: type[BaseModel]) -> type[BaseModel]:
    """A page of such rows."""
    cursor = Field(description="Ask again with `cursor` set to this for the rows behind; null: there are none.")
    return create_model(
        f"{row.__name__}Page",
        __doc__=f"A page of {row.__name__}.",
        __config__=ConfigDict(extra="forbid"),
        data=(list[row], Field(description="Rows.")),  # type: ignore[valid-type]
        next_cursor=(str | None, cursor),
    )


Bar = model_of("Bar", BARS_1M.columns, "A bar of a market, with how complete it is.")
EnrichedRow = model_of("EnrichedRow", MARKET_ENRICHED.columns, MARKET_ENRICHED.doc)
Indicators = model_of("Indicators", INDICATORS.columns, INDICATORS.doc)
Price = model_of("Price", LIVE_MARKETS.columns, LIVE_MARKETS.doc)
Article = model_of("Article", ARTICLES.columns, ARTICLES.doc)
Alert = model_of("Alert", ALERT_COLUMNS, "An alert and what people said of it.")
Action = model_of("Action", ACTION_COLUMNS, "What somebody did with an alert.")
Gap = model_of("Gap", GAPS.columns, GAPS.doc)
HourCompleteness = model_of("HourCompleteness", COMPLETENESS_COLUMNS, "How complete an hour of a market is.")
Market = model_of("Market", SYMBOL_COLUMNS, "A market that is followed.")
Ranked = model_of("Ranked", RANKING_COLUMNS, "A market's place in the ranking.")
MacroValue = model_of("MacroValue", MACRO_COLUMNS, "An observation as it was known.")
MacroSeries = model_of("MacroSeries", SERIES_COLUMNS, "A series.")
Feed = model_of("Feed", FEED_COLUMNS, "A market's feed.")
Rule = model_of("Rule", ALERT_RULES.columns, ALERT_RULES.doc)
Source = model_of("Source", FEEDS.columns, FEEDS.doc)
Coin = model_of("Coin", COINS.columns, COINS.doc)
Retention = model_of("Retention", RETENTION_COLUMNS, "How long a table's rows are kept.")
Change = model_of("Change", AUDIT_COLUMNS, "A change of what people set.")
Prediction = model_of("Prediction", PREDICTION_COLUMNS, "What a model predicted, and what became true.")
Stream = model_of("Stream", STREAM_COLUMNS, "A streaming query's progress.")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("ISO 8601, such as 2026-11-20T12:00:00Z")
    return value


def _whole_minute(moment: datetime) -> datetime:
    if moment.second or moment.microsecond:
        raise ValueError("a whole minute")
    return moment


class Strict(BaseModel):
    """A body or an answer without further members."""

    model_config = ConfigDict(extra="forbid")


class Body(Strict):
    """What somebody sends: of the types that the description names, and no others that could be read as them."""

    model_config = ConfigDict(strict=True)


class FieldProblem(Strict):
    """What is wrong with one parameter."""

    field: str
    message: str
    allowed: str | None = Field(default=None, description="What would fit, where that can be said shortly.")


class Problem(Strict):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:crypto-intel:problem:invalid-parameters"])
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] = Field(default_factory=list)


class Part(Strict):
    """A part of the platform as its supervisor sees it."""

    name: str
    answers: bool | None = Field(description="null: it starts, or cannot be asked.")
    restarts: int
    given_up: bool


class Health(Strict):
    """How the platform is."""

    status: Literal["ok", "degraded"] = Field(description="degraded: a part is given up or silent.")
    database: bool
    cache: bool | None = Field(description="null: there is none.")
    parts: list[Part] = Field(description="Empty where no supervisor of ours runs.")
    streams: list[Stream]  # type: ignore[valid-type]
    sources: list[Source]  # type: ignore[valid-type]
    feeds: list[Feed]  # type: ignore[valid-type]


class CryptoConfig(Strict):
    """What is followed, and how."""

    source: str
    markets: list[Market]  # type: ignore[valid-type]
    coins: list[Coin] = Field(description="What producers take now, or took.")  # type: ignore[valid-type]
    rules: list[Rule]  # type: ignore[valid-type]
    retention: list[Retention]  # type: ignore[valid-type]
    intervals: list[str]
    formats: list[str]
    max_rows: int = Field(description="Rows of a page at most.")


class CoinChange(Body):
    """A market to follow, or to let go."""

    venue: Literal[TRADE_VENUES] = Field(examples=["binance"])  # type: ignore[valid-type]
    symbol: str = Field(pattern=SYMBOL_PATTERN, max_length=26, examples=["BTC-USDT"])
    is_tracked: bool = Field(default=True, description="false: producers let it go.")
    note: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$", examples=["asked for by research"])


class RetentionChange(Body):
    """How long a table's rows are kept from now on."""

    table_name: str = Field(pattern=TABLE_PATTERN, examples=["public.quotes"])
    keep_days: int = Field(ge=1, le=36_500, examples=[90])


class RuleChange(Body):
    """An alert rule as it is to be; what is left out, or null, stays as it is."""

    rule: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["price_move"])
    enabled: bool | None = None
    threshold: float | None = Field(default=None, ge=0, le=3_600, examples=[0.8])
    window_s: int | None = Field(default=None, ge=10, le=3_600)
    baseline_minutes: int | None = Field(default=None, ge=5, le=240)
    least_minutes: int | None = Field(default=None, ge=3, le=240)
    cooldown_s: int | None = Field(default=None, ge=0, le=86_400)
    severity: Literal[SEVERITIES] | None = None  # type: ignore[valid-type]
    markets: list[Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,80}$")]] | None = Field(default=None, max_length=100)


class ConfigChange(Body):
    """What is to change; what is not named stays."""

    coins: list[CoinChange] = Field(default_factory=list, max_length=100)
    rules: list[RuleChange] = Field(default_factory=list, max_length=100)
    retention: list[RetentionChange] = Field(default_factory=list, max_length=100)


class Judgement(Body):
    """A person's judgement of an alert."""

    verdict: Literal["right", "wrong"] = Field(examples=["right"])
    note: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$", examples=["the market did move"])


class Note(Body):
    """A word to go with an acknowledgement."""

    note: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$", examples=["looking at it"])


class NewPrediction(Body):
    """What a model says of a market's price at the end of a minute to come."""

    model: Model
    venue: Venue
    symbol: SymbolName
    measure: Measure = Field(examples=["return_pct"])
    target_at: Annotated[Time, BeforeValidator(_text), AfterValidator(_whole_minute)] = Field(
        strict=False, description="The end of a minute, after the platform clock."
    )
    value: float = Field(gt=-1e15, lt=1e15, allow_inf_nan=False, examples=[0.4])


class NewPredictions(Body):
    """Predictions to keep: all of them or none."""

    predictions: list[NewPrediction] = Field(min_length=1, max_length=50)


class Kept(Strict):
    """What was kept."""

    kept: int
    repeated: int = Field(description="Were here already, made at the same time of the platform clock.")
    predicted_at: datetime | None = Field(description="How they are dated; null where all were here already.")


class AlertDetail(Strict):
    """An alert with what people did with it."""

    alert: Alert  # type: ignore[valid-type]
    actions: list[Action]  # type: ignore[valid-type]


class Offsets(Strict):
    """Kafka records behind bars, as bronze holds them."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int = Field(description="Records of trades of these bars, repeated ones too.")
    first_event_time: datetime = Field(description="At the venue.")
    last_event_time: datetime
    first_received_at: datetime = Field(description="At the producer (platform clock).")
    last_received_at: datetime
    first_kafka_time: datetime = Field(description="At the broker (wall clock).")
    last_kafka_time: datetime


class Lineage(Strict):
    """Where an alert comes from."""

    alert: Alert  # type: ignore[valid-type]
    enriched: list[EnrichedRow]  # type: ignore[valid-type]
    bars: list[dict[str, Any]] = Field(description="The 1-minute bars of its window, with their trade ids.")
    bronze: list[Offsets] | None = Field(description="null: the lake cannot be read from here.")
