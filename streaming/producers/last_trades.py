"""The last trades that earlier runs wrote, so that a restart knows from which ids on it must refill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from confluent_kafka import Consumer, TopicPartition

from crypto_intel.contracts.settings import Kafka
from streaming.producers.readback import SILENCE_S, partitions_of, reading, records_between
from streaming.producers.venue import Mark

_TAIL_RECORDS = 20_000  # how far back one look goes; heartbeats and busy markets lie in between
_TAIL_LOOKS = 20


class _Tail(msgspec.Struct, tag_field="kind", tag="trade"):
    venue: str
    symbol: str
    trade_id: int
    event_time: int


_decode = msgspec.json.Decoder(_Tail).decode


def last_trades(kafka: Kafka, topic: str, venue: str, symbols: Iterable[str]) -> dict[str, Mark]:
    """The trade with the greatest id of each symbol near the end of the topic; blocking.

    Looks back in steps until every symbol was found or 400,000 records of each partition were seen; symbols without
    a trade there are absent.

    Raises:
        RetryableError: Kafka does not answer.
    """
    wanted = set(symbols)
    found: dict[str, Mark] = {}
    with reading(kafka, f"last-ids-{venue}", "last trade ids") as consumer:
        for partition in partitions_of(consumer, topic):
            _search_partition(consumer, TopicPartition(topic, partition), venue, wanted, found)
    return found


def _search_partition(
    consumer: Consumer, place: TopicPartition, venue: str, wanted: set[str], found: dict[str, Mark]
) -> None:
    low, end = consumer.get_watermark_offsets(place, timeout=SILENCE_S)
    for _ in range(_TAIL_LOOKS):
        start = max(low, end - _TAIL_RECORDS)
        if start >= end or wanted <= found.keys():
            return
        for symbol, mark in _read_tail(consumer, place, start, end, venue):
            if symbol in wanted:
                found[symbol] = max(found.get(symbol, mark), mark)
        end = start


def _read_tail(
    consumer: Consumer, place: TopicPartition, start: int, end: int, venue: str
) -> Iterator[tuple[str, Mark]]:
    for message in records_between(consumer, place.topic, place.partition, start, end):
        value = message.value()
        if value is None:
            continue
        try:
            trade = _decode(value)
        except msgspec.DecodeError:  # a heartbeat
            continue
        if trade.venue == venue and trade.trade_id >= 0:  # negative: no number to go on from
            yield trade.symbol, Mark(trade.trade_id, trade.event_time)
