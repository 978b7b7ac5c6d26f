"""ingest: every record of every topic -> bronze, and its trades -> 1-minute and 5-minute bars.

Records are decoded once, in the worker that has them: their rows become files of the bronze tables, their trades go
into the windows of their markets. The driver commits the files, then appends the bars of windows that closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import SILVER_LATE_ARRIVALS
from streaming import failpoints
from streaming.jobs.query import Figures, StateFigures, start
from streaming.jobs.refold import Refold
from streaming.jobs.slices import advanced, begins, last_offsets, planned
from streaming.jobs.slices import run as run_slices
from streaming.settings import StreamingSettings
from streaming.sinks.delta import Lake, query_id
from streaming.sinks.metrics import SinkMetrics
from streaming.sinks.states import StateFiles, States
from streaming.spark import read_kafka
from streaming.steps.ingest import BARS, MARKETS, Ingest, Output, extend, lost_ids
from streaming.steps.resume import Resume
from streaming.steps.slice import Newest, Result
from streaming.transforms.decode import BRONZE, Reader, read_event
from streaming.transforms.frames import rows_of
from streaming.transforms.lost import LostIds
from streaming.transforms.market import Closed, MarketState

NAME = "ingest"


def run(
    session: SparkSession,
    settings: StreamingSettings,
    figures: Figures,
    read: Reader = read_event,
    *,
    metrics: SinkMetrics | None = None,
) -> StreamingQuery:
    """Start the query."""
    records = read_kafka(session, settings, settings.topics.ingested)
    sink = Sink(settings, figures, read, metrics)
    return start(records, NAME, settings, every_s=settings.triggers.ingest_s, sink=sink.write)


class Sink:
    """Takes the query's batches.

    Args:
        figures: told the size of the states.
        read: reads a record's value.
        metrics: told of commits.
    """

    def __init__(
        self,
        settings: StreamingSettings,
        figures: Figures,
        read: Reader = read_event,
        metrics: SinkMetrics | None = None,
    ) -> None:
        self._lake = Lake(settings.lake_root, metrics)
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
            rows=sum(len(MARKETS.decode(state)) for state in states),
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


def merged(parts: Sequence[Mapping[str, Closed]]) -> dict[str, Closed]:
    """What closed in all parts, by market, in their order."""
    all_: dict[str, Closed] = {}
    for part in parts:
        for market, done in part.items():
            extend(all_.setdefault(market, Closed()), done)
    return all_


def closed_rows(closed: Mapping[str, Closed], kind: str, table: Table) -> pl.DataFrame:
    """Rows of one of the tables of BARS among what closed."""
    rows = [
        {"venue": market.partition(":")[0], "symbol": market.partition(":")[2], **row}
        for market, done in closed.items()
        for row in getattr(done, kind)
    ]
    return rows_of(rows, table)
