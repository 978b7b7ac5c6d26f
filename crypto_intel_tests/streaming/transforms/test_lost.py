"""Ids that never will come: told once or twice, bounded, and an explanation only of what they cover."""

from __future__ import annotations

from typing import Any

from streaming.transforms.lost import MAX_LOST, Lost, explained, with_statuses


def status(first: int | None, last: int | None = None, **more: Any) -> dict[str, Any]:
    """A row of bronze.feed_status."""
    row = {"venue": "binance", "symbol": "BTC-USDT", "status": "unrecoverable", "detail": "gone"}
    return {**row, "first_id": first, "last_id": last or first, **more}


def test_only_losses_that_name_ids_count_and_each_once() -> None:
    told = [status(1, 3), status(1, 3), status(5, status="gap"), status(None), status(7, symbol=None)]
    assert with_statuses({}, told) == {"binance:BTC-USDT": [Lost(1, 3, "gone")]}


def test_what_was_told_before_stays_and_is_not_changed() -> None:
    before = {"binance:BTC-USDT": [Lost(1, 3, "gone")]}
    assert with_statuses(before, [status(9)]) == {"binance:BTC-USDT": [Lost(1, 3, "gone"), Lost(9, 9, "gone")]}
    assert before == {"binance:BTC-USDT": [Lost(1, 3, "gone")]}


def test_the_newest_losses_of_a_market_are_kept() -> None:
    (kept,) = with_statuses({}, (status(2 * n) for n in range(MAX_LOST + 5))).values()
    assert (len(kept), kept[-1].first) == (MAX_LOST, 2 * (MAX_LOST + 4))


def test_ids_are_explained_by_the_losses_that_cover_all_of_them() -> None:
    lost = [Lost(1, 3, ""), Lost(4, 9, "too old"), Lost(20, 20, "never")]
    assert explained([(2, 2), (5, 6)], lost) == "no reason given"
    assert explained([(5, 6)], lost) == "too old"
    assert explained([(5, 10)], lost) == ""
