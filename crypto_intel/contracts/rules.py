"""Alert rules and routes as people write them: one YAML file, or rows of public.alert_rules, checked in one place.

What belongs here: which rules there can be, their bounds, and what is said of a file or row that does not fit. What
does not: judging a market by them (streaming/transforms/rules), sending (resources/channels.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Ascending."""

Family = Literal["price_move", "news_move", "volume_spike", "volatility_spike", "feed_silent", "ids_missing"]
FAMILIES: tuple[Family, ...] = get_args(Family)
INCIDENT = "data_incident"
"""The rule that data incidents are told under, whatever found them."""

PLATFORM = "platform"
"""Stands where alerts about a market have their venue, in incidents of the platform itself."""

LONGEST_WINDOW_S = 3_600
LONGEST_COOLDOWN_S = 86_400

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Pattern = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_*.-]+:[A-Za-z0-9_*.-]+$", examples=["binance:BTC-USDT", "*:BTC-*"])
]
Window = Annotated[int, Field(ge=10, le=LONGEST_WINDOW_S)]
Cooldown = Annotated[int, Field(ge=0, le=LONGEST_COOLDOWN_S)]


class BadRulesError(ValueError):
    """Rules or routes do not fit; the text names each field and what is allowed."""


def is_covered(market: str, patterns: Sequence[str]) -> bool:
    """A market, `venue:symbol`, matches one of the patterns; none are for every market."""
    return not patterns or any(fnmatchcase(market, pattern) for pattern in patterns)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rule(_Part):
    name: Name
    enabled: bool = True
    severity: Severity | None = Field(
        default=None, description="Of each of its alerts; unset: warning, and critical from twice the threshold on."
    )
    markets: tuple[Pattern, ...] = Field(default=(), description="Patterns of `venue:symbol`; empty: every market.")
    cooldown_s: Cooldown = 0

    def covers(self, market: str) -> bool:
        """Whether it is judged on a market, `venue:symbol`."""
        return is_covered(market, self.markets)


class PriceMoveRule(_Rule):
    """The price moved by `move_pct` within `window_s`."""

    family: Literal["price_move"]
    move_pct: float = Field(gt=0, le=100)
    window_s: Window
    cooldown_s: Cooldown = 300


class NewsMoveRule(_Rule):
    """The price moved by `move_pct` within `window_s` behind an article; once a story, so `cooldown_s` says nothing."""

    family: Literal["news_move"]
    move_pct: float = Field(gt=0, le=100)
    window_s: Window


class SpikeRule(_Rule):
    """A minute's volume or range is `times` the median of the `baseline_minutes` before it."""

    family: Literal["volume_spike", "volatility_spike"]
    times: float = Field(gt=1, le=1_000)
    baseline_minutes: int = Field(default=30, ge=5, le=240)
    least_minutes: int = Field(default=15, ge=3, le=240)
    cooldown_s: Cooldown = 300

    @model_validator(mode="after")
    def _has_a_baseline(self) -> SpikeRule:
        if self.least_minutes > self.baseline_minutes:
            raise ValueError(f"least_minutes must not be greater than baseline_minutes ({self.baseline_minutes})")
        return self


class FeedSilentRule(_Rule):
    """A feed is silent for `silence_s` while others of its partition go on."""

    family: Literal["feed_silent"]
    silence_s: int = Field(ge=10, le=LONGEST_WINDOW_S)


class IdsMissingRule(_Rule):
    """Trade ids are missing for `patience_s`; as long does a market alert wait for the ids of its window."""

    family: Literal["ids_missing"]
    patience_s: int = Field(ge=0, le=LONGEST_WINDOW_S)


AlertRule = Annotated[
    PriceMoveRule | NewsMoveRule | SpikeRule | FeedSilentRule | IdsMissingRule, Field(discriminator="family")
]
_RULES = TypeAdapter[AlertRule](AlertRule)

THRESHOLD_OF: Mapping[Family, tuple[str, str]] = {
    "price_move": ("move_pct", "pct"),
    "news_move": ("move_pct", "pct"),
    "volume_spike": ("times", "times"),
    "volatility_spike": ("times", "times"),
    "feed_silent": ("silence_s", "s"),
    "ids_missing": ("patience_s", "s"),
}
"""What the columns `threshold` and `unit` of public.alert_rules hold, by family."""
RULE_UNITS = tuple(dict.fromkeys(unit for _, unit in THRESHOLD_OF.values()))


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("no time zone of this name, such as Europe/Berlin or UTC") from None
    return name


def _quoted(value: object) -> object:
    # YAML reads 22:00 without quotes as the number 1,320.
    if isinstance(value, int | float):
        raise ValueError('write the time in quotes, such as "22:00"')
    return value


TimeOfDay = Annotated[time, BeforeValidator(_quoted)]


class QuietHours(_Part):
    """From `start` until `end` (which may be the next day) on the clocks of a zone."""

    start: TimeOfDay
    end: TimeOfDay
    zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"


class Route(_Part):
    """Which alerts go to which channels; empty means all. Quiet hours hold back what is less than critical.

    The same rule and symbol is told once in `again_after_s`, whatever venue it is on, unless it gets more severe.
    """

    name: Name
    channels: tuple[Name, ...] = ()
    least_severity: Severity = "warning"
    rules: tuple[Name, ...] = ()
    markets: tuple[Pattern, ...] = ()
    quiet_hours: QuietHours | None = None
    again_after_s: Cooldown = 300

    def covers(self, market: str) -> bool:
        """Whether it is about a market, `venue:symbol`."""
        return is_covered(market, self.markets)


class AlertConfig(_Part):
    """The file."""

    rules: tuple[AlertRule, ...] = Field(min_length=1)
    routes: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _has_each_name_once(self) -> AlertConfig:
        for kind, named in (("rule", self.rules), ("route", self.routes)):
            twice = repeated([one.name for one in named])
            if twice:
                raise ValueError(f"each {kind} has a name of its own; there twice: {', '.join(twice)}")
        return self


def repeated(names: Iterable[str]) -> list[str]:
    """Names that are there more than once, sorted."""
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]


def load_alert_config(path: Path | None = None) -> AlertConfig:
    """Rules and routes of a file; of the one that comes with the project where none is named.

    Raises:
        BadRulesError: it can not be read, is not YAML, or does not fit.
    """
    return _shipped() if path is None else read_alert_config(_text(path), str(path))


@cache
def _shipped() -> AlertConfig:
    name = "alert_rules.yaml"
    return read_alert_config(files("crypto_intel.contracts").joinpath(name).read_text(encoding="utf-8"), name)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRulesError(f"{path} can not be read: {error}") from None


def read_alert_config(text: str, name: str) -> AlertConfig:
    """Rules and routes of a text; `name` is said in errors.

    Raises:
        BadRulesError: it is not YAML, or does not fit.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadRulesError(f"{name} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise BadRulesError(f"{name}: a mapping with `rules` and `routes` is wanted")
    try:
        return AlertConfig.model_validate(content)
    except ValidationError as error:
        raise BadRulesError(_told(error, name, content)) from None


def row_of(rule: AlertRule) -> dict[str, Any]:
    """A rule as a row of public.alert_rules, without what the database adds."""
    parameter, unit = THRESHOLD_OF[rule.family]
    return {
        "rule": rule.name,
        "family": rule.family,
        "enabled": rule.enabled,
        "threshold": float(getattr(rule, parameter)),
        "unit": unit,
        "window_s": getattr(rule, "window_s", None),
        "baseline_minutes": getattr(rule, "baseline_minutes", None),
        "least_minutes": getattr(rule, "least_minutes", None),
        "cooldown_s": rule.cooldown_s,
        "severity": rule.severity,
        "markets": list(rule.markets),
    }


def rule_of(row: Mapping[str, Any]) -> AlertRule:
    """The rule of a row of public.alert_rules; other columns are left out.

    Raises:
        BadRulesError: it does not fit; the text names each column and what is allowed.
    """
    if row["family"] not in FAMILIES:
        raise BadRulesError(f"rule {row['rule']}: family must be one of {', '.join(FAMILIES)}")
    parameter, unit = THRESHOLD_OF[row["family"]]
    if row["unit"] != unit:
        raise BadRulesError(f"rule {row['rule']}: the unit of a {row['family']} is {unit}")
    given = {"name": row["rule"], parameter: row["threshold"], "markets": tuple(row["markets"])}
    names = ("family", "enabled", "window_s", "baseline_minutes", "least_minutes", "cooldown_s", "severity")
    given |= {name: row[name] for name in names if row[name] is not None}
    try:
        return _RULES.validate_python(given)
    except ValidationError as error:
        raise BadRulesError(_told(error, f"rule {row['rule']}", given).replace(parameter, "threshold")) from None


def _told(error: ValidationError, where: str, content: Any) -> str:
    return "\n".join([f"{where} does not fit", *(f"  {_line(one, content)}" for one in error.errors())])


def _line(error: Mapping[str, Any], content: Any) -> str:
    # The tag of the union is no step of the content; where it stands in the path it is left out.
    path = [step for step in error["loc"] if step not in FAMILIES]
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    said = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        said = f"no such field; there are {', '.join(_fields(error['loc']))}"
    elif error["type"] != "missing" and not isinstance(error["input"], dict | list | tuple | BaseModel):
        said += f" (it is {error['input']!r})"
    return f"{text or 'the whole'}{_named(path, content)}: {said}"


def _named(path: Sequence[str | int], content: Any) -> str:
    # rules[2] says little; its name says more.
    if len(path) < 2 or not isinstance(content, dict):
        return ""
    try:
        name = content[path[0]][path[1]]["name"]
    except (KeyError, IndexError, TypeError):
        return ""
    return f" of {name}"


def _fields(location: Sequence[str | int]) -> list[str]:
    by_family = {family: kind for kind in get_args(get_args(AlertRule)[0]) for family in _families(kind)}
    kinds: list[type[BaseModel]] = [by_family[step] for step in location if step in FAMILIES]
    if not kinds:
        kinds = [QuietHours] if "quiet_hours" in location else [Route] if "routes" in location else [AlertConfig]
    return list(kinds[0].model_fields)


def _families(kind: type[BaseModel]) -> tuple[str, ...]:
    return get_args(kind.model_fields["family"].annotation)
