"""How missing trades are fetched: by their producer, and by runs where it leaves a gap open. Apart from a producer's
other settings, since those load what a code server needs for nothing else."""

from __future__ import annotations

from pydantic import BaseModel, Field

from crypto_intel.contracts.settings import Settings


class Repair(BaseModel):
    """How missing trades are fetched."""

    limit_ids: int = Field(default=50_000, ge=0, description="Per symbol and gap; the newest ones are fetched.")
    budget_s: float = Field(default=30.0, gt=0, description="After it the symbol streams on and the gap stays open.")
    history_minutes: float = Field(default=5.0, ge=0, description="Fetched at the first start, so that bars exist.")
    max_jump_ids: int = Field(
        default=1_000_000,
        ge=1,
        description="An id further from the last one is refused unless the next ones confirm it.",
    )
    late_s: float = Field(
        default=3600, ge=0, description="What stayed open is tried again for so long; then left open."
    )
    late_wait_s: float = Field(default=30, gt=0, description="Before the second try; doubles up to late_wait_max_s.")
    late_wait_max_s: float = Field(default=600, gt=0)


class Refetch(BaseModel):
    """How Dagster has fetched what stayed open (streaming/producers/refetch.py)."""

    after_s: float | None = Field(
        default=None,
        gt=0,
        description="Wall time that a gap is seen open before a run asks; unset: until the producer's own two tries "
        "are over, 2 x REPAIR__BUDGET_S + REPAIR__LATE_WAIT_S. Doubles with each run that brings nothing.",
    )
    wait_max_s: float = Field(default=3600, gt=0, description="The longest wait between two runs for the same gap.")
    limit_ids: int = Field(default=50_000, ge=1, description="Ids a run; the next run takes the rest.")
    budget_s: float = Field(default=120.0, gt=0, le=240, description="Of a try; what came until then is kept.")
    share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Of KRAKEN__REST_PER_S for a run, since the producer asks from the same address.",
    )


class RepairSettings(Settings):
    """What concerns repairs, with what every part reads."""

    repair: Repair = Repair()
    refetch: Refetch = Refetch()

    @property
    def refetch_after_s(self) -> float:
        """Seconds for which a gap is left to its producer."""
        return self.refetch.after_s or 2 * self.repair.budget_s + self.repair.late_wait_s
