"""What travels to clients, and what a client may still owe to its connection: bounded, and never an alert lost."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Channel = Literal["prices", "bars", "alerts", "feeds"]
CHANNELS: tuple[Channel, ...] = ("prices", "bars", "alerts", "feeds")
_WORD: dict[Channel, str] = {"prices": "price", "bars": "bar", "alerts": "alert", "feeds": "feed"}

_DATA = '"data":'

MAX_ALERTS = 1_000
"""Alerts that may wait for one client. One that has more is cut off and told how to go on where it was."""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `key` names what changed: a later event with the same key replaces one that still waits."""

    seq: int
    channel: Channel
    symbol: str
    key: tuple[str, ...]
    text: str

    @property
    def data(self) -> str:
        """The row alone, as JSON."""
        return self.text[self.text.index(_DATA) + len(_DATA) : -1]


def key_of(channel: Channel, row: dict[str, Any]) -> tuple[str, ...]:
    """What a row is about."""
    about = {"bars": ("window_start",), "alerts": ("alert_id",)}.get(channel, ())
    return (channel, row["venue"], row["symbol"], *(str(row[name]) for name in about))


def event(seq: int, channel: Channel, row: dict[str, Any]) -> Event:
    """The event of a row, encoded once for all clients."""
    text = f'{{"type":"{_WORD[channel]}","seq":{seq},{_DATA}{_encoder.encode(row).decode()}}}'
    return Event(seq, channel, row["symbol"], key_of(channel, row), text)


def message(kind: str, **content: Any) -> str:
    """Any other message."""
    return _encoder.encode({"type": kind, **content}).decode()


class Outbox:
    """What waits for one client. Prices, bars and feeds are the newest of their key; alerts wait one by one.

    Attributes:
        skipped: states that were replaced before they were sent, since last asked.
        overflowed: more alerts wait than may.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.overflowed = False
        self.wake = asyncio.Event()
        self._newest: dict[tuple[str, ...], Event] = {}
        self._alerts: deque[Event] = deque()

    def put(self, event: Event) -> None:
        """Take an event in."""
        if event.channel == "alerts":
            self.overflowed = self.overflowed or len(self._alerts) >= MAX_ALERTS
            if not self.overflowed:
                self._alerts.append(event)
        else:
            self.skipped += event.key in self._newest
            self._newest[event.key] = event
        self.wake.set()

    def take(self) -> list[Event]:
        """Everything that waits, in the order of its numbers."""
        waiting = sorted([*self._newest.values(), *self._alerts], key=lambda event: event.seq)
        self._newest.clear()
        self._alerts.clear()
        self.wake.clear()
        return waiting

    def take_skipped(self) -> int:
        """States that were skipped since the last call."""
        skipped, self.skipped = self.skipped, 0
        return skipped


@dataclass(frozen=True)
class Interest:
    """What a client wants: channels, and symbols (None: all)."""

    channels: frozenset[Channel] = frozenset()
    symbols: frozenset[str] | None = None

    def covers(self, event: Event) -> bool:
        """The event is wanted."""
        return event.channel in self.channels and (self.symbols is None or event.symbol in self.symbols)
