"""Simulator to polled sources over real sockets: what is written, what fails, and how that is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from crypto_intel.contracts.events import decode, encode
from crypto_intel_tests.streaming.producers.harness import MemorySink, eventually, inject, replayed, simulated
from crypto_intel_tests.streaming.producers.polled import articles, begin, details, poll_all, poll_settings, polling
from streaming.clock import Anchors, PlatformClock
from streaming.errors import FatalError
from streaming.producers.pollers import SOURCES, Shared, heartbeat_topics, make_pollers
from streaming.producers.polling import Polled, Poller, Seen
from streaming.producers.settings import ProducerSettings
from streaming.producers.stories import Stories
from streaming.producers.voice import Voice

pytestmark = pytest.mark.stack

CANARY = "canary-0123456789-key"
NEWS = ("newsapi", "rss")
ALL = tuple(SOURCES)


async def test_everything_is_written_once_a_run(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(poll_settings(simulator), sink, *ALL) as pollers:
        await poll_all(pollers)
        first = articles(sink)
        await poll_all(pollers)
    ids = Counter(article.article_id for article in articles(sink))
    assert set(ids.values()) == {1}
    assert len(first) >= 500
    assert len(articles(sink)) - len(first) < 10
    quotes = Counter((quote.venue, quote.symbol, quote.event_time) for quote in sink.quotes())
    assert set(quotes.values()) == {1}
    assert {quote.venue for quote in sink.quotes()} == {"coingecko", "alphavantage"}
    assert not sink.rejected()
    assert all(detail.startswith("ok:") for detail in details(sink).values())
    assert [decode(encode(event)) for event in sink.events] == sink.events


async def test_a_story_has_one_cluster_whoever_tells_it(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(poll_settings(simulator), sink, *NEWS) as pollers:
        await poll_all(pollers)
    wire = {article.article_id: article for article in articles(sink) if article.source == "Simulated Wire"}
    retold = [article for article in articles(sink) if article.source != "Simulated Wire"]
    assert len(retold) >= 150
    oldest = min(article.published_at for article in wire.values())
    for article in (a for a in retold if a.published_at > oldest + 130_000_000):
        told = wire[str(article.cluster_id)]
        assert told.title.removeprefix("Simulated: ").split("(")[0] in article.title
    assert all(article.cluster_id == article.article_id for article in wire.values())


async def test_a_source_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(poll_settings(simulator), sink, *ALL) as pollers:
        await inject(simulator, kind="rest_error", count=100, status=400, venue="newsapi")
        await poll_all(pollers)
    told = details(sink)
    assert told.pop("everything").startswith("failed: unexpectedError")
    assert all(detail.startswith("ok:") for detail in told.values())
    assert {beat.venue for beat in sink.heartbeats()} == {"rss", "coingecko", "alphavantage"}


async def test_one_feed_of_many_fails_alone(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        rest = f"http://127.0.0.1:{simulator.rest_port}"
        feeds = f"Good={rest}/rss/herald.xml,Gone={rest}/rss/none.xml,Page={rest}/health"
        async with polling(poll_settings(simulator, rss={"feeds": feeds}), sink, "rss") as pollers:
            await poll_all(pollers)
    told = details(sink)
    assert told["Good"].startswith("ok: ")
    assert told["Gone"].startswith("failed: HTTP 404")
    assert told["Page"].startswith("failed: malformed_feed")
    assert [reject.reason for reject in sink.rejected()] == ["malformed_feed"]
    assert len(sink.heartbeats()) == 1


async def test_heartbeats_carry_the_time_of_the_last_poll_that_succeeded(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(poll_settings(simulator), sink, "newsapi") as [poller]:
        await poller.poll()
        newest = max(article.published_at for article in articles(sink))
        (beat,) = sink.heartbeats()
        await inject(simulator, kind="rest_error", count=1, status=401, venue="newsapi")
        await poller.poll()
    assert newest <= beat.event_time <= beat.received_at
    assert sink.heartbeats() == [beat]


async def test_a_refused_key_is_told_in_the_venues_words(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        settings = poll_settings(simulator, newsapi={"key": None}, alphavantage={"key": None})
        async with polling(settings, sink, "newsapi", "alphavantage") as pollers:
            await poll_all(pollers)
    told = details(sink)
    assert told["everything"] == "failed: apiKeyMissing: Your API key is missing."
    assert told["fx-daily:EUR-USD"] == "failed: Error Message: the parameter apikey is invalid or missing."
    assert sink.heartbeats() == []


async def test_live_without_a_key_is_a_state_and_nothing_is_asked(tmp_path: Path) -> None:
    sink = MemorySink()
    settings = ProducerSettings(source="live", data_dir=tmp_path, coingecko={"plan": "demo"})  # type: ignore[arg-type]
    async with polling(settings, sink, "newsapi", "coingecko", "alphavantage") as pollers:
        await poll_all(pollers)
        await poll_all(pollers)
    assert [status.detail for status in sink.statuses("poll")] == [
        "failed: no key: set CRYPTO_INTEL_NEWSAPI__KEY",
        "failed: no key: set CRYPTO_INTEL_COINGECKO__KEY",
        "failed: no key: set CRYPTO_INTEL_ALPHAVANTAGE__KEY",
    ] * 2


async def test_a_spent_budget_is_told_and_outlasts_a_restart(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator:
        own = {"per_day": 2, "series": "fx-daily:EUR-USD,fx-daily:GBP-USD,rate:EUR-USD"}
        settings = poll_settings(simulator, source="live", data_dir=tmp_path / "live", alphavantage=own)
        settings = settings.model_copy(update={"clock_url": None})
        told = []
        for _ in range(2):
            sink = MemorySink()
            async with polling(settings, sink, "alphavantage") as pollers:
                await poll_all(pollers)
            told.append([status.detail.partition(":")[0] for status in sink.statuses("poll")])
    assert told == [["ok", "ok", "failed"], ["failed", "failed", "failed"]]


async def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator:
        rest = f"http://127.0.0.1:{simulator.rest_port}"
        settings = poll_settings(simulator, rss={"feeds": f"Herald={rest}/rss/herald.xml"})
        async with polling(settings, sink, "rss") as [poller]:
            await poller.poll()
            await poller.poll()
    assert details(sink)["Herald"] == "ok: not changed"
    assert len(sink.heartbeats()) == 2  # nothing new is healthy


@pytest.mark.parametrize("fault", ["rest_error", "rest_empty"])
async def test_faults_of_every_page_end_in_a_status_and_the_next_poll_succeeds(tmp_path: Path, fault: str) -> None:
    sink = MemorySink()
    async with simulated(tmp_path) as simulator, polling(poll_settings(simulator), sink, *ALL) as pollers:
        for venue in ALL:
            await inject(simulator, kind=fault, count=8, status=404, venue=venue)
        await poll_all(pollers)
        failed = details(sink)
        for _ in range(8):  # what was injected wears off
            sink.events.clear()
            await poll_all(pollers)
    assert any(detail.startswith("failed") for detail in failed.values())
    assert all(detail.startswith("ok:") for detail in details(sink).values())


async def test_a_replay_ends_with_all_its_articles_and_ended_heartbeats(tmp_path: Path, shared_data: Path) -> None:
    sink = MemorySink()
    async with replayed(tmp_path, shared_data / "binance" / "ws_raw", 300) as simulator:
        world = simulator.world
        async with polling(poll_settings(simulator), sink, *NEWS) as pollers:
            running = [asyncio.create_task(poller.run()) for poller in pollers]
            await eventually(sink.heartbeats)
            begin(simulator)
            await asyncio.wait_for(asyncio.gather(*running), 60)
        written = world.wire.published(0, world.now_us())
        assert {a.url for a in articles(sink) if a.source == "Simulated Wire"} == {a.url for a in written}
        assert world.ledger.account.articles == len(articles(sink)) > len(written) > 5
    assert {beat.venue for beat in sink.heartbeats() if beat.ended} == set(NEWS)
    assert {status.venue for status in sink.statuses("ended")} == set(NEWS)


async def test_a_key_is_in_no_event_no_log_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = MemorySink()
    caplog.set_level("DEBUG")
    for name in ("httpx", "httpcore"):
        caplog.set_level("DEBUG", logger=name)
    async with simulated(tmp_path) as simulator:
        keyed = {"key": SecretStr(CANARY)}
        settings = poll_settings(
            simulator,
            newsapi=keyed,
            coingecko={**keyed, "plan": "demo"},
            alphavantage={**keyed, "series": ",".join(["rate:EUR-USD"] * 60)},
        )
        async with polling(settings, sink, *ALL) as pollers:
            for _ in range(2):  # the second time the venue refuses and shows the key
                await poll_all(pollers)
            await inject(simulator, kind="rest_error", count=3, status=400)
            await poll_all(pollers)
    assert any("API key as ***" in status.detail for status in sink.statuses("poll"))
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capsys.readouterr())
    assert CANARY not in repr(settings)
    assert not any(CANARY in repr(event) for event in sink.events)


class _Broken:
    """A source whose next polls raise what they are told to."""

    venue, stream, poll_s, lacks = "rss", "feeds", 0.01, None

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def ask(self, asked_at: int) -> list[Polled]:
        if self.errors:
            raise self.errors.pop(0)
        return []


def poller_of(source: _Broken, sink: MemorySink) -> Poller:
    clock = PlatformClock()
    return Poller(source, Voice("rss", sink, clock), sink, clock)


async def test_a_fault_of_ours_in_one_source_is_told_and_does_not_end_the_process() -> None:
    sink = MemorySink()
    poller = poller_of(_Broken(KeyError("x")), sink)
    await poller.poll()
    await poller.poll()
    assert [s.detail for s in sink.statuses("poll")] == ["failed: fault in the producer: KeyError", "ok: 0 new of 0"]


async def test_what_would_lose_data_ends_the_process() -> None:
    with pytest.raises(FatalError):
        await asyncio.wait_for(poller_of(_Broken(FatalError("lost")), MemorySink()).run(), 5)


@pytest.mark.parametrize(
    ("source", "speed", "name", "expected"),
    [
        ("sim", 1, "newsapi", 15),
        ("live", 1, "newsapi", 1000),
        ("replay", 20, "newsapi", 0.75),
        ("live", 1, "rss", 300),
        ("live", 1, "coingecko", 300),
        ("sim", 1, "coingecko", 15),
        ("live", 1, "alphavantage", 11_404.8),
    ],
)
def test_polls_are_as_far_apart_as_the_plan_bears(
    tmp_path: Path, source: str, speed: float, name: str, expected: float
) -> None:
    settings = ProducerSettings(source=source)  # type: ignore[arg-type]
    clock = PlatformClock()
    clock.anchors = Anchors(source=source, speed=speed)  # type: ignore[arg-type]
    settings = settings.model_copy(update={"data_dir": tmp_path})
    [poller] = make_pollers([name], Shared(settings, MemorySink(), clock, Stories(), AsyncExitStack()))
    assert poller.wait_s() == pytest.approx(expected)


def test_a_pro_plan_is_asked_every_15_seconds() -> None:
    settings = ProducerSettings(coingecko={"plan": "pro"})  # type: ignore[arg-type]
    assert settings.coingecko.every("live") == 15
    assert settings.coingecko.address == "https://pro-api.coingecko.com"


def test_each_source_beats_beside_its_events() -> None:
    topics = ProducerSettings().topics
    assert {name: heartbeat_topics(topics)[name] for name in ALL} == {
        "newsapi": topics.news,
        "rss": topics.news,
        "coingecko": topics.quotes,
        "alphavantage": topics.quotes,
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rss": {"feeds": "https://example.com/feed"}}, "name=URL"),
        ({"alphavantage": {"series": "bonds:EUR-USD"}}, "fx-daily"),
        ({"coingecko": {"coins": "bitcoin,../x"}}, "no id of a coin"),
        ({"coingecko": {"coins": "tron"}}, "tron=TICKER"),
    ],
)
def test_a_setting_that_does_not_fit_says_what_does(changes: dict[str, dict[str, str]], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        ProducerSettings.model_validate(changes)


def test_what_was_seen_is_remembered_up_to_a_bound() -> None:
    seen = Seen(limit=2)
    assert [seen.add(key) for key in ("a", "b", "a", "c", "b")] == [True, True, False, True, True]


async def test_the_simulator_refuses_what_newsapi_refuses(tmp_path: Path) -> None:
    async with simulated(tmp_path) as simulator, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{simulator.rest_port}/v2/everything"
        missing = await client.get(url, params={"q": "bitcoin"})
        broad = await client.get(url, params={"apiKey": "x"})
        unreadable = await client.get(url, params={"apiKey": "x", "q": "bitcoin", "pageSize": "many"})
    assert [r.status_code for r in (missing, broad, unreadable)] == [401, 400, 400]
    assert [r.json()["code"] for r in (missing, broad, unreadable)] == [
        "apiKeyMissing",
        "parametersMissing",
        "parameterInvalid",
    ]
