"""Faults on request: what goes wrong at venues and on the way, made to happen.

Faults are queued by kind and applied to the frames that pass next. Every injected frame is named, so that the ledger
counts it apart from the truth. Cuts concern connections and are made where those are (hub.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from streaming.simulator.venue import Frame

DAY_MS = 86_400_000
_REMEMBERED = 1_000  # how many passed frames can be repeated
MAX_COUNT = 1_000_000


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """A request for faults. `symbol` is the venue's spelling; without it a gap hits all symbols.

    gap: withhold the next `count` trades of the symbol (REST has them). malformed: send `count` broken copies.
    duplicate: send the last `count` frames again. future: send `count` copies dated a day ahead. cut: drop all
    connections. rest_error: answer the next `count` REST requests with `status`.
    """

    kind: Literal["gap", "malformed", "duplicate", "future", "cut", "rest_error"]
    count: int = 1
    symbol: str | None = None
    status: int = 503


def _unquoted_price(payload: bytes) -> bytes:
    return payload.replace(b'"p":"', b'"p":', 1).replace(b'","q"', b',"q"', 1)


def _with_price(price: bytes) -> Callable[[bytes], bytes]:
    def replace(payload: bytes) -> bytes:
        start = payload.index(b'"p":"') + 5
        return payload[:start] + price + payload[payload.index(b'"', start) :]

    return replace


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "malformed_json": lambda payload: payload[: len(payload) // 2],
    "not_utf8": lambda payload: payload.replace(b'"e":"trade"', b'"e":"\xff\xfe"', 1),
    "wrong_type": _unquoted_price,
    "bad_price": _with_price(b"NaN"),
    "bad_price_negative": _with_price(b"-1.5"),
    "bad_quantity": lambda payload: payload.replace(b'"q":"', b'"q":"x', 1),
    "missing_field": lambda payload: payload.replace(b'"t":', b'"tt":', 1),
    "unknown_symbol": lambda payload: payload.replace(b'"s":"', b'"s":"ZZ', 1),
}
"""How frames are broken, by the reason that a reader should give (a suffix tells variants apart)."""


@dataclass
class Faults:
    """Faults that wait for frames to pass."""

    _gaps: dict[str | None, int] = field(default_factory=dict)
    _pending: deque[tuple[str, int]] = field(default_factory=deque)
    _passed: deque[Frame] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _rest: deque[int] = field(default_factory=deque)
    _broken: int = 0

    def request(self, injection: Injection) -> None:
        """Queue what was asked for."""
        count = min(max(injection.count, 0), MAX_COUNT)
        if injection.kind == "gap":
            stream = f"{injection.symbol.lower()}@trade" if injection.symbol else None
            self._gaps[stream] = self._gaps.get(stream, 0) + count
        elif injection.kind == "rest_error":
            self._rest.extend([injection.status] * min(count, _REMEMBERED))
        elif injection.kind != "cut":
            self._pending.append((injection.kind, count))

    def next_rest_status(self) -> int | None:
        """Status that the next REST answer must have, if any."""
        return self._rest.popleft() if self._rest else None

    def apply(self, frames: list[Frame]) -> tuple[list[Frame], int]:
        """What is sent instead of `frames`, and how many trades were withheld."""
        if not (self._gaps or self._pending):
            self._passed.extend(frames)
            return frames, 0
        kept = [frame for frame in frames if not self._withhold(frame)]
        self._passed.extend(kept)
        return kept + self._extra(), len(frames) - len(kept)

    def _withhold(self, frame: Frame) -> bool:
        for key in (frame.stream, None):
            if self._gaps.get(key, 0) > 0:
                self._gaps[key] -= 1
                if not self._gaps[key]:
                    del self._gaps[key]
                return True
        return False

    def _extra(self) -> list[Frame]:
        """Faulty frames that were asked for, as far as there are frames to make them of."""
        extra: list[Frame] = []
        while self._pending and self._passed:
            kind, count = self._pending.popleft()
            if kind == "duplicate":
                again = list(self._passed)[-count:]
                extra.extend(frame._replace(injected="duplicate") for frame in again)
            elif kind == "malformed":
                extra.extend(self._malformed(self._passed[-1]) for _ in range(count))
            else:
                extra.extend([_future(self._passed[-1])] * count)
        return extra

    def _malformed(self, frame: Frame) -> Frame:
        kinds = list(MALFORMED)
        name = kinds[self._broken % len(kinds)]
        self._broken += 1
        return frame._replace(payload=MALFORMED[name](frame.payload), injected=f"malformed:{name}")


def _future(frame: Frame) -> Frame:
    message = msgspec.json.decode(frame.payload)
    for name in ("E", "T"):
        message["data"][name] += DAY_MS * (1000 if message["data"][name] > 10**14 else 1)
    return frame._replace(payload=msgspec.json.encode(message), injected="future")
