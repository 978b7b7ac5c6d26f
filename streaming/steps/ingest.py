"""The step of `ingest`: records are decoded once; their rows become files of bronze, their trades go into windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import polars as pl

from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_LATE_ARRIVALS,
    SILVER_PRICE_MEANS_5M,
)
from streaming.sinks.delta import DataFile, write_files
from streaming.steps.resume import Resume
from streaming.steps.slice import Newest
from streaming.transforms.decode import Decoded, Reader, Records, decode, read_event
from streaming.transforms.lost import LostIds, with_statuses
from streaming.transforms.market import Closed, MarketState, advance_all

BARS = {
    "minutes": SILVER_BARS_1M,
    "fives": SILVER_BARS_5M,
    "means": SILVER_PRICE_MEANS_5M,
    "late": SILVER_LATE_ARRIVALS,
}
"""Tables of what closes, in the order of writing: a 5-minute bar never stands in the lake without its minutes."""

MARKETS = msgspec.msgpack.Decoder(dict[str, MarketState])
LOST = msgspec.msgpack.Decoder(LostIds)


class Output(msgspec.Struct):
    """What a slice gave: files by table, closed rows by market."""

    files: dict[str, list[DataFile]]
    closed: dict[str, Closed]
    newest: Newest = Newest()


@dataclass(frozen=True)
class Ingest:
    """The step of a slice.

    Args:
        lake: where bronze files go.
        trades_topic: whose trades become bars.
        status_topic: where feeds tell of ids that never will come.
        delay_us: how long a window stays open past its end.
        read: reads a record's value.
        resume: what an earlier checkpoint had written.
        lost: what feeds told of in the batches before.
    """

    lake: str
    trades_topic: str
    status_topic: str
    delay_us: int
    read: Reader = read_event
    resume: Resume = field(default_factory=Resume)
    lost: LostIds = field(default_factory=dict)

    def __call__(self, records: Records, state: bytes | None) -> tuple[bytes | None, bytes]:
        """Write the bronze files and advance the markets, or what is known of lost ids."""
        is_trades, is_status = records.topic == self.trades_topic, records.topic == self.status_topic
        markets = MARKETS.decode(state) if state and is_trades else {}
        lost = LOST.decode(state) if state and is_status else {}
        output = Output({}, {})
        for part, is_known in self.resume.cut(records):
            decoded = decode(part, self.read)
            for table, rows in decoded.bronze.items():
                new = self.resume.new_records(rows, table, records.name)
                output.files.setdefault(table.full_name, []).extend(write_files(new, table, self.lake))
            if is_trades:
                self._close(decoded, markets, output, is_known=is_known)
            if is_status and BRONZE_FEED_STATUS in decoded.bronze:
                lost = with_statuses(lost, decoded.bronze[BRONZE_FEED_STATUS].iter_rows(named=True))
        output.newest = Newest(max((state.clock_us for state in markets.values()), default=0), records.newest_ms)
        after = markets if is_trades else lost if is_status else None
        return msgspec.msgpack.encode(after) if after is not None else None, msgspec.msgpack.encode(output)

    def _close(self, decoded: Decoded, markets: dict[str, MarketState], output: Output, *, is_known: bool) -> None:
        for market, done in self._bars(decoded, markets).items():
            if is_known:
                self.resume.forget_late(market, done)
            extend(output.closed.setdefault(market, Closed()), done)

    def _bars(self, decoded: Decoded, markets: dict[str, MarketState]) -> dict[str, Closed]:
        for market in decoded.trades["market"].unique():
            markets.setdefault(market, MarketState())
        # Heartbeats name all markets of a feed; those that live in other partitions are not known here.
        beats = decoded.beats.filter(pl.col("market").is_in(list(markets)))
        named = set(decoded.trades["market"].unique()) | set(beats["market"].unique())
        touched = {market: state for market, state in markets.items() if market in named}
        closed = advance_all(touched, decoded.trades, beats, delay_us=self.delay_us, lost=self.lost)
        return {market: done for market, done in closed.items() if done.minutes or done.fives or done.late}


def extend(closed: Closed, more: Closed) -> None:
    """Add what closed after it."""
    for kind in BARS:
        getattr(closed, kind).extend(getattr(more, kind))


def lost_ids(partitions: Mapping[str, bytes], topic: str) -> LostIds:
    """What feeds told of lost ids, from the states of the status topic's partitions."""
    states = [LOST.decode(state) for name, state in partitions.items() if name.startswith(f"{topic}/")]
    markets = {market for lost in states for market in lost}
    return {market: [piece for lost in states for piece in lost.get(market, [])] for market in markets}
