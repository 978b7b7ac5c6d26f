"""Ids that cannot be do not pass, and do not blind the feed; a market that moved on does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.events import Trade
from streaming.producers.guard import JumpGuard, Suspect

BTC = "BTC-USDT"


def trade(trade_id: int, symbol: str = BTC) -> Trade:
    return Trade(
        venue="binance",
        symbol=symbol,
        trade_id=trade_id,
        price="1",
        quantity="1",
        taker_side="buy",
        event_time=1,
        received_at=1,
    )


class Watched:
    """A guard with a bound of 100, and what it refused."""

    def __init__(self, seen: int | None = 1_000) -> None:
        self.refused: list[int] = []
        self.restarts: list[int] = []
        self.guard = JumpGuard(100, self._refuse, lambda symbol, trade_id: self.restarts.append(trade_id))
        self.guard.seen = {} if seen is None else {BTC: seen}

    def _refuse(self, suspect: Suspect) -> None:
        assert suspect.payload == str(suspect.trade.trade_id).encode()
        self.refused.append(suspect.trade.trade_id)

    def admit(self, *ids: int) -> list[int]:
        return [t.trade_id for i in ids for t in self.guard.admit(trade(i), str(i).encode())]


def test_usual_trades_pass() -> None:
    watched = Watched()
    assert watched.admit(1_001, 1_050, 1_002, 990) == [1_001, 1_050, 1_002, 990]
    assert watched.guard.seen == {BTC: 1_050}


def test_one_absurd_id_is_refused_when_the_market_goes_on_as_before() -> None:
    watched = Watched()
    assert watched.admit(9_000_000) == []
    assert watched.guard.suspicious == {BTC}
    assert watched.admit(1_001) == [1_001]
    assert watched.refused == [9_000_000]
    assert watched.guard.suspicious == set()


def test_a_jump_that_the_next_trades_confirm_passes_whole_and_in_order() -> None:
    watched = Watched()
    assert watched.admit(5_000, 5_001, 5_002, 5_003) == [5_000, 5_001, 5_002, 5_003]
    assert watched.refused == []
    assert watched.restarts == []


def test_repeating_an_absurd_id_confirms_nothing() -> None:
    watched = Watched()
    assert watched.admit(9_000, 9_000, 9_000, 9_000, 1_001) == [1_001]
    assert watched.refused == [9_000] * 4


def test_two_different_absurd_ids_do_not_confirm_each_other() -> None:
    watched = Watched()
    assert watched.admit(9_000, 90_000, 900_000, 1_001) == [1_001]
    assert watched.refused == [9_000, 90_000, 900_000]


def test_a_market_that_counts_anew_is_told() -> None:
    watched = Watched()
    assert watched.admit(1, 2, 3, 4) == [1, 2, 3, 4]
    assert watched.restarts == [1]


def test_an_absurd_first_id_does_not_blind_the_feed() -> None:
    watched = Watched(seen=None)
    assert watched.admit(2**62) == [2**62]
    assert watched.admit(500, 501, 502) == [500, 501, 502]


def test_waiting_trades_pass_when_another_source_proves_that_the_market_moved() -> None:
    watched = Watched()
    assert watched.admit(5_000) == []
    watched.guard.reached(BTC, 4_999)
    assert watched.admit(5_001) == [5_000, 5_001]
    assert watched.refused == []


def test_at_a_loss_of_the_connection_what_waits_is_refused() -> None:
    watched = Watched()
    watched.admit(9_000)
    watched.guard.refuse_all()
    assert watched.refused == [9_000]


@given(st.lists(st.integers(0, 10_000)))
def test_every_trade_passes_or_is_refused_or_waits_exactly_once(ids: list[int]) -> None:
    watched = Watched()
    passed = watched.admit(*ids)
    watched.guard.refuse_all()
    assert sorted(passed + watched.refused) == sorted(ids)
