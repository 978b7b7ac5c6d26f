"""ingest: every record of every topic -> bronze, and its trades -> 1-minute and 5-minute bars.

Records are decoded once, in the worker that has them: their rows become files of the bronze tables, their trades go
into the windows of their markets. The driver commits the files, then appends the bars of windows that closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
    SILVER_LATE_ARRIVALS,
    SILVER_PRICE_MEANS_5M,
)
from streaming import failpoints
from streaming.jobs.query import Figures, Newest, StateFigures, start
from streaming.jobs.refold import Refold
from streaming.jobs.resume import Resume
from streaming.jobs.slices import Result, advanced, begins, last_offsets, planned
from streaming.jobs.slices import run as run_slices
from streaming.settings import StreamingSettings
from streaming.sinks.delta import DataFile, Lake, query_id, write_files
from streaming.sinks.states import StateFiles, States
from streaming.spark import read_kafka
from streaming.transforms.decode import BRONZE, Decoded, Reader, Records, decode, read_event
from streaming.transforms.frames import rows_of
from streaming.transforms.lost import LostIds, with_statuses
from streaming.transforms.market import Closed, MarketState, advance_all

NAME = "ingest"
BARS = {
    "minutes": SILVER_BARS_1M,
    "fives": SILVER_BARS_5M,
    "means": SILVER_PRICE_MEANS_5M,
    "late": SILVER_LATE_ARRIVALS,
}
"""Tables of what closes, in the order of writing: a 5-minute bar never stands in the lake without its minutes."""

_markets = msgspec.msgpack.Decoder(dict[str, MarketState])
_lost = msgspec.msgpack.Decoder(LostIds)


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
        markets = _markets.decode(state) if state and is_trades else {}
        lost = _lost.decode(state) if state and is_status else {}
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


def run(
    session: SparkSession, settings: StreamingSettings, figures: Figures, read: Reader = read_event
) -> StreamingQuery:
    """Start the query."""
    records = read_kafka(session, settings, settings.topics.ingested)
    sink = Sink(settings, figures, read)
    return start(records, NAME, settings, every_s=settings.triggers.ingest_s, sink=sink.write)


class Sink:
    """Takes the query's batches.

    Args:
        figures: told the size of the states.
        read: reads a record's value.
    """

    def __init__(self, settings: StreamingSettings, figures: Figures, read: Reader = read_event) -> None:
        self._lake = Lake(settings.lake_root)
        self._figures = figures
        self._delay_us = settings.bars.delay_s * 1_000_000
        self._trades, self._statuses = settings.topics.trades, settings.topics.feed_status
        self._step = partial(Ingest, settings.lake_root, self._trades, self._statuses, self._delay_us, read)
        self._kafka = settings.kafka
        self._checkpoint = f"{settings.checkpoint_root}/{NAME}"
        frozen = {"bars.delay_s": str(settings.bars.delay_s)}
        self._states = StateFiles(f"{self._checkpoint}/states", frozen, dict[str, MarketState] | LostIds)

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """Bring a batch into the lake.

        Raises:
            FatalError: its states are not there, or it was begun before with other offsets.
        """
        before = self._states.before(batch_id) or States()
        ranges = planned(self._checkpoint, batch_id, before)
        packed = self._states.begin(batch_id, last_offsets(ranges), partial(self._earlier, batch_id, before))
        resume = Resume.unpack(packed)
        refolded = [] if batch_id else self._refold(resume)
        before = advanced(before, refolded)
        context = batch.sparkSession.sparkContext
        step = self._step(resume=resume, lost=lost_ids(before.partitions, self._statuses))
        with self._figures.phase(NAME, "slices"):
            results = run_slices(context, self._kafka, ranges, step, before.partitions)
        failpoints.reach(f"{NAME}:files")
        self._append(query_id(batch), batch_id, [*refolded, *results], resume)
        failpoints.reach(f"{NAME}:tables")
        self._states.write(batch_id, advanced(before, results, packed))
        self._lake.compact()

    def _refold(self, resume: Resume) -> list[Result]:
        # What Kafka no longer has, out of the lake.
        refold, found = Refold(self._lake, resume.windows, self._delay_us), []
        for name, begin in begins(self._checkpoint).items():
            topic, _, partition = name.rpartition("/")
            if begin and topic == self._trades:
                states, closed = refold.markets(topic, int(partition), begin)
                output = msgspec.msgpack.encode(Output({}, closed))
                found.append(Result(name, begin - 1, 0, msgspec.msgpack.encode(states), output))
            elif begin and topic == self._statuses:
                lost = msgspec.msgpack.encode(refold.lost(topic, int(partition), begin))
                found.append(Result(name, begin - 1, 0, lost, msgspec.msgpack.encode(Output({}, {}))))
        return found

    def _earlier(self, batch_id: int, before: States) -> bytes:
        return before.resume if batch_id else Resume.of(self._lake).pack()

    def _append(self, application: str, batch_id: int, results: list[Result], resume: Resume) -> None:
        outputs = [msgspec.msgpack.decode(result.output, type=Output) for result in results]
        closed = merged([output.closed for output in outputs])
        with self._figures.phase(NAME, "commits"):
            self._commit(application, batch_id, outputs, closed, resume)
        states = [result.state for result in results if result.state and result.name.startswith(f"{self._trades}/")]
        figures = StateFigures(
            records=sum(result.records for result in results),
            rows=sum(len(_markets.decode(state)) for state in states),
            size=sum(map(len, states)),
            late=sum(row["trade_count"] for done in closed.values() for row in done.late),
            newest=Newest.of(output.newest for output in outputs),
        )
        self._figures.tell(NAME, batch_id, figures)

    def _commit(
        self, application: str, batch_id: int, outputs: list[Output], closed: dict[str, Closed], resume: Resume
    ) -> None:
        for table in BRONZE:
            files = [file for output in outputs for file in output.files.get(table.full_name, [])]
            self._lake.commit(table, files, application=application, batch_id=batch_id)
        for kind, table in BARS.items():
            rows = closed_rows(closed, kind, table)
            rows = rows if table is SILVER_LATE_ARRIVALS else resume.unwritten(rows, table)
            self._lake.append(rows, table, application=application, batch_id=batch_id)


def lost_ids(partitions: Mapping[str, bytes], topic: str) -> LostIds:
    """What feeds told of lost ids, from the states of the status topic's partitions."""
    states = [_lost.decode(state) for name, state in partitions.items() if name.startswith(f"{topic}/")]
    markets = {market for lost in states for market in lost}
    return {market: [piece for lost in states for piece in lost.get(market, [])] for market in markets}


def merged(parts: Sequence[Mapping[str, Closed]]) -> dict[str, Closed]:
    """What closed in all parts, by market, in their order."""
    all_: dict[str, Closed] = {}
    for part in parts:
        for market, done in part.items():
            extend(all_.setdefault(market, Closed()), done)
    return all_


def extend(closed: Closed, more: Closed) -> None:
    """Add what closed after it."""
    for kind in BARS:
        getattr(closed, kind).extend(getattr(more, kind))


def closed_rows(closed: Mapping[str, Closed], kind: str, table: Table) -> pl.DataFrame:
    """Rows of one of the tables of BARS among what closed."""
    rows = [
        {"venue": market.partition(":")[0], "symbol": market.partition(":")[2], **row}
        for market, done in closed.items()
        for row in getattr(done, kind)
    ]
    return rows_of(rows, table)
