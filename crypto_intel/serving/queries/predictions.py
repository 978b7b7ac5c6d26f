"""What users' models predicted, beside what became true: the closes of the streamed bars, and how complete they are.

Whose rows a query gives, the database decides: ask it for somebody (`AsyncDatabase.own_page`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crypto_intel.contracts.serving import BARS_1M, PREDICTIONS
from crypto_intel.serving.queries.query import Order, Query, Select, column, pick

_TARGET = {found.name: found for found in pick(BARS_1M.columns, "coverage_pct", "completeness")}
PREDICTION_COLUMNS = (
    *PREDICTIONS.columns,
    column("actual", "double", "What it was, in the measure; null while the minutes are not there.", nullable=True),
    column("error", "double", "value - actual.", nullable=True),
    column("coverage_pct", "double", f"Of the target's minute. {_TARGET['coverage_pct'].doc}", nullable=True),
    column("completeness", "string", f"Of the target's minute. {_TARGET['completeness'].doc}", nullable=True),
)
_KEY = ("predicted_at", "model", "venue", "symbol", "measure", "target_at")
_SOURCE = """(
  SELECT a.*, a.value - a.actual AS error FROM (
    SELECT p.*, t.coverage_pct, t.completeness, CASE p.measure WHEN 'price' THEN t.close
        WHEN 'return_pct' THEN 100 * (t.close / nullif(b.close, 0) - 1)
        ELSE (t.close > b.close)::integer::double precision END AS actual
    FROM public.predictions p
    LEFT JOIN public.bars_1m t ON t.venue = p.venue AND t.symbol = p.symbol
      AND t.window_start = p.target_at - interval '1 minute'
    LEFT JOIN public.bars_1m b ON b.venue = p.venue AND b.symbol = p.symbol
      AND b.window_start = date_trunc('minute', p.predicted_at) - interval '1 minute'
  ) a
) predictions"""


@dataclass(frozen=True)
class PredictionFilter:
    """Which predictions, made in [start, end)."""

    model: str | None = None
    symbol: str | None = None
    venue: str | None = None
    measure: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: Order = "desc"
    limit: int = 500
    cursor: str | None = None


def predictions(wanted: PredictionFilter) -> Query:
    """Predictions by the time they were made."""
    select = Select("predictions", PREDICTION_COLUMNS, _SOURCE)
    for name in ("model", "symbol", "venue", "measure"):
        select = select.filter_given(f"{name} = %({name})s", **{name: getattr(wanted, name)})
    select = select.filter_given("predicted_at >= %(start)s", start=wanted.start)
    select = select.filter_given("predicted_at < %(end)s", end=wanted.end)
    return select.keyset(_KEY, order=wanted.order, limit=wanted.limit, cursor=wanted.cursor)
