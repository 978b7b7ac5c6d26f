"""Settings of the simulator, read from `CRYPTO_INTEL_SIMULATOR__*`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from crypto_intel.contracts.settings import Settings


def _speed(value: object) -> object:
    return 0 if value == "max" else value


class SimulatorOptions(BaseModel):
    """Where the simulator listens and what stands behind it."""

    host: str = "127.0.0.1"
    ws_port: int = Field(default=9443, ge=0, le=65535, description="0: a free one.")
    rest_port: int = Field(default=9080, ge=0, le=65535, description="0: a free one.")
    seed: int = Field(default=7, ge=0)
    origin: datetime | None = Field(
        default=None,
        description="When the seeded market began, ISO 8601; cut to the hour; default: what the data folder "
        "remembers, at its first start a day ago. Must stay the same for one data folder: ids count from it.",
    )
    trades_per_second: float = Field(
        default=25, gt=0, le=100_000, description="Mean of Binance's markets; must stay the same for one data folder."
    )
    kraken_share: float = Field(
        default=0.2, gt=0, le=1, description="Kraken's trades a trade of Binance; the same for one data folder."
    )
    tick_ms: int = Field(default=25, ge=1, le=1000, description="Frames are sent in batches, this often.")
    capture: Path | None = Field(default=None, description="Folder of recorded frames that a replay plays.")
    speed: Annotated[float, BeforeValidator(_speed)] = Field(
        default=1, ge=0, description="Of a replay: N times the recording's pace; 0 or max: as fast as clients read."
    )
    faults: list[dict[str, Any]] = Field(
        default=[],
        description='Faults by schedule, JSON: [{"at_s": 30, "kind": "cut", "how": "silence"}]; see POST /sim/inject.',
    )
    wait_s: float = Field(
        default=60,
        ge=0,
        description="Of a replay: how long the first venue's client waits for those of other venues.",
    )
    fred_dir: Path | None = Field(default=None, description="Folder of recorded FRED series as <series>.csv.")

    @field_validator("origin")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


class SimulatorSettings(Settings):
    """Everything that the simulator reads."""

    source: Literal["sim", "replay"] = "sim"  # a live source needs no simulator
    simulator: SimulatorOptions = SimulatorOptions()
