"""Faults on request: what goes wrong at venues and on the way, made to happen.

Faults are queued by kind and applied to the trade frames of their markets that pass next; what each frame becomes is in
mutations.py. Every injected frame is named, so that the ledger counts it apart from the truth. Cuts concern connections
and are made where those are (hub.py); what the REST pages do with theirs is in rest_faults.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from streaming.errors import RejectedInput
from streaming.simulator.kinds import CutStyle, FaultKind
from streaming.simulator.kraken import alternative_name, old_name, rest_name
from streaming.simulator.mutations import broken, moved
from streaming.simulator.venue import Frame, VenueSymbol

DAY_US = 86_400_000_000
FUTURE_US = 60_000_000
"""Readers refuse what is dated further ahead than this, so a clock that is off by more makes future frames."""

MAX_COUNT = 1_000_000
_REMEMBERED = 1_000  # how many passed frames can be repeated


class Injection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for faults, at once or `at_s` seconds after the start.

    `venue` and `symbol` narrow it; a symbol is spelled as the venue does or as we do. Without them it hits all.

    gap: withhold the next `count` trades (REST has them). duplicate: send the last `count` trades again (at most
    1,000). reorder: hold the next `count` trades back and send them backwards. malformed: send `count` broken copies.
    future: send `count` copies dated a day ahead. clock_skew: move the times of the next `count` trades by `skew_s`;
    more than a minute ahead counts as future, since readers must refuse it.
    cut: end connections in the way of `how`: reset (RST), close (close frame), silence (half-open for `seconds`:
    nothing is sent, no ping answered), handshake (as reset, and no connection of any venue is answered for `seconds`),
    forced (announced, as by the venue, and closed after `seconds`).
    rest_error: answer the next `count` requests with `status` (and `retry_after_s`); rest_slow: after `seconds`;
    rest_empty: with nothing in them.
    news_burst: publish `count` stories about an asset now (at most 100); `symbol` names it, or a market of it.
    """

    kind: FaultKind
    at_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    venue: str | None = None
    symbol: str | None = None
    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] = 1
    how: CutStyle = "reset"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 5.0
    skew_s: Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)] = 0.0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503
    retry_after_s: Annotated[int, msgspec.Meta(ge=0)] | None = None


def spellings(symbol: VenueSymbol) -> set[str]:
    """Every way to write a market: ours, with and without venue, and the venue's."""
    ours = f"{symbol.base}-{symbol.quote}"
    names = {symbol.market, ours, symbol.name, f"{symbol.base}/{symbol.quote}", symbol.base + symbol.quote}
    if symbol.venue == "kraken":
        names |= {old_name(symbol), alternative_name(symbol), rest_name(symbol)}
    return names


def markets_of(injection: Injection, symbols: Iterable[VenueSymbol]) -> frozenset[str]:
    """The markets that a request is about.

    Raises:
        RejectedInput: there is no such symbol at the venue; says which there are.
    """
    offered = [symbol for symbol in symbols if injection.venue in (None, symbol.venue)]
    if injection.symbol is None:
        return frozenset(symbol.market for symbol in offered)
    wanted = injection.symbol.upper() if ":" not in injection.symbol else injection.symbol
    found = frozenset(symbol.market for symbol in offered if wanted in spellings(symbol))
    if not found:
        allowed = ", ".join(symbol.market for symbol in offered) or "none at this venue"
        raise RejectedInput("unknown_symbol", f"{injection.symbol!r} is not a market; allowed: {allowed}")
    return found


@dataclass
class _Order:
    """A request that waits for `left` more trades of its markets; frames are kept here while they are held back."""

    injection: Injection
    markets: frozenset[str]
    left: int
    held: list[Frame] = field(default_factory=list)

    def take(self, market: str) -> bool:
        """Use the request for one trade of a market, if it still wants one."""
        if self.left <= 0 or market not in self.markets:
            return False
        self.left -= 1
        return True


@dataclass
class Applied:
    """What is sent instead of the frames, and the faults (kind, market) that no frame of their own tells."""

    frames: list[Frame]
    faults: list[tuple[str, str]] = field(default_factory=list)


class Faults:
    """Faults that wait for frames to pass.

    Args:
        symbols: the markets on offer.
    """

    def __init__(self, symbols: Sequence[VenueSymbol]) -> None:
        self._symbols = list(symbols)
        self._orders: dict[str, list[_Order]] = {"gap": [], "clock_skew": [], "reorder": []}
        self._copies: list[_Order] = []
        self._passed: deque[Frame] = deque(maxlen=_REMEMBERED)
        self._broken = 0

    def request(self, injection: Injection) -> None:
        """Queue what was asked for; cuts and REST faults are others' business.

        Raises:
            RejectedInput: there is no such market.
        """
        order = _Order(injection, markets_of(injection, self._symbols), injection.count)
        if not injection.count:
            return
        if injection.kind in self._orders:
            self._orders[injection.kind].append(order)
        elif injection.kind in {"malformed", "duplicate", "future"}:
            self._copies.append(order)

    def apply(self, frames: list[Frame]) -> Applied:
        """What is sent instead of `frames`."""
        if not (self._copies or any(self._orders.values())):
            self._passed.extend(frames)
            return Applied(frames)
        applied = Applied([])
        withheld: set[tuple[str, int]] = set()
        for frame in frames:
            if frame.trade_id and self._withhold(frame, withheld, applied):
                continue
            applied.frames.extend(self._reordered(self._skewed(frame, applied), applied))
        self._passed.extend(frame for frame in applied.frames if not frame.injected)
        applied.frames.extend(self._extra())
        self._orders = {kind: [order for order in orders if order.left > 0] for kind, orders in self._orders.items()}
        return applied

    def _withhold(self, frame: Frame, withheld: set[tuple[str, int]], applied: Applied) -> bool:
        trade = (frame.market, frame.trade_id)
        if trade in withheld:  # the same trade in another form
            return True
        if not any(order.take(frame.market) for order in self._orders["gap"]):
            return False
        withheld.add(trade)
        applied.faults.append(("gap", frame.market))
        return True

    def _skewed(self, frame: Frame, applied: Applied) -> Frame:
        for order in self._orders["clock_skew"] if frame.trade_id else ():
            if order.take(frame.market):
                by_us = int(order.injection.skew_s * 1e6)
                if by_us > FUTURE_US:
                    return moved(frame, by_us)._replace(injected="future")
                applied.faults.append(("clock_skew", frame.market))
                return moved(frame, by_us)
        return frame

    def _reordered(self, frame: Frame, applied: Applied) -> list[Frame]:
        """The frame, or nothing while it is held back, or all that were held back, last one first."""
        if not frame.trade_id or frame.injected:
            return [frame]
        for order in self._orders["reorder"]:
            if order.take(frame.market):
                order.held.append(frame)
                applied.faults.append(("reorder", frame.market))
                return [] if order.left else order.held[::-1]
        return [frame]

    def _extra(self) -> list[Frame]:
        """Faulty frames that were asked for, as far as there are frames to make them of."""
        extra: list[Frame] = []
        for order in self._copies:
            passed = [frame for frame in self._passed if frame.trade_id and frame.market in order.markets]
            if passed:
                extra.extend(self._copied(order.injection, passed))
                order.left = 0
        self._copies = [order for order in self._copies if order.left]
        return extra

    def _copied(self, injection: Injection, passed: list[Frame]) -> list[Frame]:
        count = injection.count
        if injection.kind == "duplicate":
            return [frame._replace(injected="duplicate") for frame in passed[-count:]]
        if injection.kind == "future":
            return [moved(passed[-1], DAY_US)._replace(injected="future")] * count
        self._broken += count
        return [broken(passed[-1], number) for number in range(self._broken - count, self._broken)]
