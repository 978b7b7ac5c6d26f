"""Events as they travel through Kafka: JSON objects, one struct a kind, told apart by `kind`.

What belongs here: the wire form of our own topics. What does not: the venues' wire forms (streaming/producers)
and the columns of tables (tables.py). Times are integers, microseconds since 1970-01-01 UTC: `event_time` is the
venue's clock, `received_at` ours (the platform clock). Prices and quantities are decimal strings, untouched from
the venue to the lake, so that nothing passes through a float.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

HEARTBEAT_KEY = "__hb__"
"""Kafka key of a heartbeat; no market has this name."""

FUTURE_TOLERANCE_S = 60
"""An event whose own time is this much later than its receipt is rejected: it would push every window shut."""

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What a table's bigint holds: a greater number is of a wrong type."""

Side = Literal["buy", "sell"]
Origin = Literal["ws", "rest"]
GAP_STATUSES = ("gap", "repaired", "unrecoverable")
"""What a feed tells about ids, and the gap ledger is folded from."""

StatusKind = Literal["connected", "disconnected", "heartbeat", "poll", "gap", "repaired", "unrecoverable", "ended"]


class Trade(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="trade"):
    """One trade on a venue. Topic: trades. Key: `venue:symbol`. Identity: venue, symbol, trade_id.

    `trade_id` counts the trades of a market without holes. A negative one says that the venue gave no number: it is
    minus a 62-bit digest of time, price, quantity, side and the ordinal among equal ones of a frame, so the same trade
    has the same id however often it is sent, and nothing can be told from its neighbours.
    """

    venue: str
    symbol: str
    trade_id: Int64
    price: str
    quantity: str
    taker_side: Side
    event_time: Int64
    received_at: Int64
    origin: Origin = "ws"


class Quote(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="quote"):
    """A price quoted by an aggregator or the best bid and ask of a venue. Topic: quotes. Key: `venue:symbol`.

    `price` is the last one, or the middle of bid and ask where no last one is told. Quantities are in base;
    `volume_24h` is in quote, `volume_24h_base` in base; `change_24h_pct` may have a sign.
    """

    venue: str
    symbol: str
    price: str
    event_time: Int64
    received_at: Int64
    bid: str | None = None
    ask: str | None = None
    volume_24h: str | None = None
    market_cap_usd: str | None = None
    bid_quantity: str | None = None
    ask_quantity: str | None = None
    volume_24h_base: str | None = None
    change_24h_pct: str | None = None


class Article(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="article"):
    """One news article. Topic: news. Key: article_id. Three clocks: event (if told), published, first seen.

    `symbols` holds the assets that the article is about (`BTC`), since news is about an asset and not about one
    of its markets; it joins with bars on the base of their symbol. Articles that tell one story share `cluster_id`,
    the id of its first article; None stands for the article's own id. `sentiment` is what the source says, -1..1.
    """

    article_id: str
    source: str
    url: str
    title: str
    published_at: Int64
    first_seen_at: Int64
    summary: str = ""
    content: str = ""
    tags: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    event_time: Int64 | None = None
    language: str | None = None
    cluster_id: str | None = None
    sentiment: float | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """The feed is alive and has passed on everything that it received before `event_time`.

    Written to every partition of the feed's topic, key `HEARTBEAT_KEY`, only while the feed is alive. It moves
    the clock of each market in `symbols` that lives in that partition, so quiet markets close their windows.
    `ended` says that the source has no more (a recording's end): every window may close.
    """

    venue: str
    symbols: tuple[str, ...]
    event_time: Int64
    received_at: Int64
    ended: bool = False


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="feed_status"):
    """What became of a feed: a state change, a poll, or missing trade ids. Topic: feed_status. Key: `venue`.

    `gap` names ids first_id..last_id as missing; `repaired` names ids that arrived through REST since;
    `unrecoverable` names ids that the venue no longer has, `detail` says how it said so.
    """

    venue: str
    status: StatusKind
    event_time: Int64
    received_at: Int64
    stream: str = ""
    symbol: str | None = None
    first_id: Int64 | None = None
    last_id: Int64 | None = None
    detail: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="alert"):
    """A rule that fired. Topic: alerts. Key: alert_id. Published at least once; one row after de-duplication by id.

    `alert_id` is a function of rule, market and what fired it, so a repeated batch raises the same alert. `evidence` is
    what it rests on: `bar`, the minute in which it fired as it was then, `values`, what was compared, and `rule`, by
    which and when, so that it can be judged again.
    """

    alert_id: str
    rule: str
    severity: Literal["info", "warning", "critical"]
    venue: str
    symbol: str
    window_start: Int64
    window_end: Int64
    raised_at: Int64
    value: float
    threshold: float
    unit: str
    message: str
    coverage_pct: float | None = None
    completeness: str | None = None
    source: Literal["sim", "replay", "live"] = "live"
    article_ids: tuple[str, ...] = ()
    evidence: dict[str, dict[str, float | int | str | None]] = {}


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="rejected"):
    """Input that could not be used, kept whole. Topic: dead letters. Key: `stage`.

    `raw` is the input's bytes (base64 in JSON, cut at `MAX_RAW_BYTES`); `place` says where it was found
    (`ws stream btcusdt@trade`, `trades_topic[2]@1041`), `reason` is one of a few words, `detail` is for people.
    """

    stage: str
    place: str
    reason: str
    raw: bytes
    received_at: Int64
    detail: str = ""


MAX_RAW_BYTES = 262_144
"""A rejected input longer than this is cut: Kafka's default record limit is 1 MiB and base64 adds a third."""

Event = Trade | Quote | Article | Heartbeat | FeedStatus | Alert | Rejected

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """The event as the JSON that goes into Kafka."""
    return _encoder.encode(event)


def decode(value: bytes) -> Event:
    """The event of a Kafka record's value.

    Raises:
        msgspec.DecodeError: not JSON, or not one of our kinds (msgspec.ValidationError is a subclass of it).
    """
    return _decoder.decode(value)
