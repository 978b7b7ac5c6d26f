"""REST of a venue that has the ids that a test says, and fails as it says."""

from __future__ import annotations

from collections.abc import Callable, Collection

import httpx

from crypto_intel.contracts.events import Trade
from streaming.producers.venue import Mark

BTC = "BTC-USDT"


class ScriptedVenue:
    """REST of a venue that has some ids, and first fails as a test says."""

    client = httpx.AsyncClient()

    def __init__(self, ids: Collection[int], *, seeks_by_id: bool = True) -> None:
        self.ids = set(ids)
        self.seeks_by_id = seeks_by_id
        self.failures: list[Exception | None] = []
        self.asked: list[tuple[int, int]] = []
        self.on_answer: Callable[[], None] = lambda: None

    async def offered(self, wanted: Collection[str]) -> dict[str, str]:
        return {"BTCUSDT": BTC} if BTC in wanted else {}

    async def latest(self, name: str, symbol: str, received_at: int) -> Mark | None:
        self._fail()
        return Mark(max(self.ids), max(self.ids)) if self.ids else None

    async def behind(self, name: str, symbol: str, received_at: int, after: Mark, limit: int) -> list[Trade]:
        self.asked.append((after.trade_id, limit))
        if self._fail():
            return []
        found = [self._trade(i) for i in sorted(self.ids) if i > after.trade_id][:limit]
        self.on_answer()
        return found

    async def history(
        self, name: str, symbol: str, received_at: int, *, until: int, since_us: int, limit: int
    ) -> list[Trade]:
        return [self._trade(i) for i in sorted(self.ids) if i <= until]

    def _fail(self) -> bool:
        """Whether this answer is empty; raises what the script says."""
        if not self.failures:
            return False
        failure = self.failures.pop(0)
        if failure is not None:
            raise failure
        return True

    def _trade(self, trade_id: int) -> Trade:
        return Trade(
            venue="binance", symbol=BTC, trade_id=trade_id, price="1", quantity="1", taker_side="buy",
            event_time=trade_id, received_at=trade_id, origin="rest",
        )  # fmt: skip
