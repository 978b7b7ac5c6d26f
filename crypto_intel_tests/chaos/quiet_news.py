"""R14: no news for hours while trades flow, then a burst: the join stays small, and finds every pair after."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from crypto_intel.contracts.events import HEARTBEAT_KEY
from crypto_intel.stack.ports import free_port
from crypto_intel_tests.chaos.application import Sender
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import Ground
from crypto_intel_tests.chaos.judgement import bar_count
from crypto_intel_tests.chaos.load import BEAT_US, MARKETS, MINUTE_US, PARTITIONS, Load, Record
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.table import Row

BURST_MINUTES = 10
RETAINED_S = 660
"""Five minutes to either side of a bar, and the minute that news may be late."""


def quiet_news(ground: Ground, scale: Scale, tell: Tell) -> Row:
    """Trades and heartbeats of `scale.quiet_minutes` minutes without an article, then 200 articles in ten minutes."""
    port = free_port()
    settings = {
        "CRYPTO_INTEL_METRICS_PORT": str(port),
        "CRYPTO_INTEL_NEWS__DELAY_MINUTES": "1",
        "CRYPTO_INTEL_TRIGGERS__BAR_NEWS_S": "1",
    }
    application = ground.application("quiet-news", **settings)
    load = Load(
        application.topics,
        minutes=scale.quiet_minutes + BURST_MINUTES,
        trades_per_minute=600,
        articles=200,
        quiet_minutes=scale.quiet_minutes,
    )
    quiet, burst = _parts(load)
    sender = Sender(ground.bootstrap)
    flow = sender.in_background(quiet, len(quiet) / scale.quiet_minutes)  # a minute of feed time a second
    started(application)
    largest = 0
    while flow.is_alive():
        flow.join(1)
        largest = max(largest, _state_rows(port))
        tell(f"{len(sender.acked):,} of {len(quiet):,} records, {largest} rows remembered at most")
    bars = len(MARKETS) * (scale.quiet_minutes - 1)
    application.wait_for(lambda: bar_count(application.lake) >= bars and _state_rows(port) <= _bound())
    settled = _state_rows(port)
    sender.send(burst)
    verdict, took = finish(application, sender, load)
    note = f"at most {largest} rows remembered while batches caught up, {settled} at its end, of {_bound():.0f} allowed"
    fault = f"news silent for {scale.quiet_minutes} minutes of feed time, then 200 articles in ten"
    return Row("R14", fault, 1, verdict, len(sender.acked), [took], note)


def _parts(load: Load) -> tuple[list[Record], list[Record]]:
    """The records before the first article, and the rest."""
    is_article = (one.topic == load.topics.news and one.key != HEARTBEAT_KEY for one in load.records)
    first = next(place for place, found in enumerate(is_article) if found)
    return load.records[:first], load.records[first:]


def _bound() -> float:
    """Rows that may be remembered: what comes in such a time, and a fifth more.

    A bar and a heartbeat each stand in the join, a heartbeat also among what was seen once.
    """
    bars, beats = len(MARKETS) / MINUTE_US, PARTITIONS / BEAT_US
    return 1.2 * RETAINED_S * 1_000_000 * (bars + 2 * beats)


def _state_rows(port: int) -> int:
    """As the application's own page of figures says; 0 before the join's first batch."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        families = text_string_to_metric_families(page.read().decode())
        samples = [sample for family in families for sample in family.samples]
    found = [s.value for s in samples if s.name == "crypto_intel_stream_state_rows" and s.labels["query"] == "bar_news"]
    return int(sum(found))
