"""The PostgreSQL sink: once, whole, and the same whatever the order."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from crypto_intel_tests.streaming.sinks.conftest import Rows
from crypto_intel_tests.streaming.sinks.rows import KNOWN, START, alert, bar, final, frame, keys, live, pair
from streaming.errors import FatalError
from streaming.sinks.postgres import PostgresSink, Upsert, refresh_market_enriched, upsert_frame

pytestmark = pytest.mark.stack


def _bars(*bars: dict[str, object]) -> Upsert:
    return Upsert("bars_1m", frame("bars_1m", *bars))


def _pairs(*pairs: dict[str, object]) -> Upsert:
    return Upsert("bar_news", frame("bar_news", *pairs))


def test_a_batch_is_written_once_however_often_it_is_repeated(sink: PostgresSink, rows: Rows) -> None:
    assert sink.publish(7, [_bars(bar(0))], alerts=[alert()], refresh_enriched=keys(0), known_at=KNOWN)
    assert not sink.publish(7, [_bars(bar(0, close=55.0))], alerts=[alert("other")])
    assert [row["close"] for row in rows("SELECT close FROM bars_1m")] == [101.0]
    assert len(rows("SELECT * FROM alerts")) == len(rows("SELECT * FROM ops.alert_outbox")) == 1


def test_a_new_checkpoint_starts_its_batches_again(sink: PostgresSink, own_postgres_dsn: str, rows: Rows) -> None:
    from pydantic import SecretStr

    sink.publish(0, [_bars(bar(0))])
    other = PostgresSink(SecretStr(own_postgres_dsn), query="publish", epoch="checkpoint-2")
    assert other.publish(0, [_bars(bar(1))])
    other.close()
    assert len(rows("SELECT * FROM bars_1m")) == 2


def test_a_bar_that_is_told_again_leaves_what_a_repair_made_of_it(sink: PostgresSink, rows: Rows) -> None:
    told = Upsert("bars_1m", frame("bars_1m", bar(0, trade_count=9), bar(1)), only_new=True)
    sink.publish(0, [told])
    sink.publish(1, [_bars(bar(0, completeness="repaired"))])
    sink.publish(2, [told])
    found = rows("SELECT trade_count, completeness FROM bars_1m ORDER BY window_start")
    assert [tuple(row.values()) for row in found] == [(10, "repaired"), (10, "complete")]


def test_an_error_in_the_middle_of_a_batch_leaves_nothing(sink: PostgresSink, rows: Rows) -> None:
    with pytest.raises(FatalError, match="completeness"):
        sink.publish(1, [_bars(bar(0))], alerts=[alert(completeness="as good as it gets")])
    for table in ("bars_1m", "alerts", "ops.alert_outbox", "ops.sink_batches"):
        assert rows(f"SELECT * FROM {table}") == []
    assert sink.publish(1, [_bars(bar(0))], alerts=[alert()])


@pytest.mark.parametrize("news_first", [True, False], ids=["pair before bar", "bar before pair"])
def test_news_and_bar_make_the_same_row_in_either_order(sink: PostgresSink, rows: Rows, news_first: bool) -> None:
    steps = [[_bars(bar(0))], [_pairs(pair("b", after_s=20, sentiment=0.5), pair("a", sentiment=-0.2), pair("c"))]]
    for batch_id, upserts in enumerate(reversed(steps) if news_first else steps):
        sink.publish(batch_id, upserts, refresh_enriched=keys(0), known_at=KNOWN)
    (row,) = rows("SELECT * FROM market_enriched")
    assert (row["news_count"], row["news_before_count"], row["news_after_count"]) == (3, 2, 1)
    assert row["article_ids"] == ["a", "b", "c"]
    assert row["sentiment_mean"] == pytest.approx(0.15)
    assert row["revision"] == (0 if news_first else 1)
    assert (row["is_final"], row["close"], row["known_at"]) == (False, 101.0, KNOWN)


def test_a_refresh_that_finds_nothing_new_is_no_revision(sink: PostgresSink, rows: Rows) -> None:
    sink.publish(0, [_bars(bar(0))], refresh_enriched=keys(0), known_at=KNOWN)
    sink.publish(1, refresh_enriched=keys(0), known_at=KNOWN + timedelta(minutes=5))
    (row,) = rows("SELECT revision, known_at FROM market_enriched")
    assert row == {"revision": 0, "known_at": KNOWN}


def test_a_final_row_outlives_late_provisional_ones(sink: PostgresSink, rows: Rows) -> None:
    sink.publish(0, [_bars(bar(0))], refresh_enriched=keys(0), known_at=KNOWN)
    sink.publish(1, [Upsert("market_enriched", frame("market_enriched", final(0, close=100.5)))])
    sink.publish(2, [_pairs(pair("a"))], refresh_enriched=keys(0), known_at=KNOWN)
    sink.publish(3, [Upsert("market_enriched", frame("market_enriched", final(0, is_final=False, close=1.0)))])
    (row,) = rows("SELECT is_final, close, revision, news_count FROM market_enriched")
    assert row == {"is_final": True, "close": 100.5, "revision": 1, "news_count": 0}


def test_a_final_row_is_revised_only_when_something_else_than_its_revision_changed(
    sink: PostgresSink, rows: Rows
) -> None:
    later = KNOWN + timedelta(hours=1)
    for batch_id, row in enumerate([final(0), final(0, known_at=later, revision=9), final(0, close=99.0)]):
        sink.publish(batch_id, [Upsert("market_enriched", frame("market_enriched", row))])
        found = rows("SELECT revision, known_at, close FROM market_enriched")
        assert found == [{"revision": int(batch_id == 2), "known_at": KNOWN, "close": 99.0 if batch_id == 2 else 101.0}]


def test_macro_values_are_those_known_the_day_before(sink: PostgresSink, rows: Rows) -> None:
    from datetime import date

    day = START.date()
    forever = date(9999, 12, 31)

    def value(series: str, of: date, number: float | None, start: date, end: date = forever) -> dict[str, object]:
        return {
            "series_id": series, "observation_date": of, "realtime_start": start, "realtime_end": end,
            "value": number, "fetched_at": KNOWN,
        }  # fmt: skip

    macro = frame(
        "macro_observations",
        value("FEDFUNDS", date(2026, 10, 1), 3.9, date(2026, 11, 2)),
        value("DGS10", day - timedelta(days=2), 4.1, day - timedelta(days=1)),
        value("DGS10", day - timedelta(days=1), 4.2, day),  # released within the day: known from tomorrow on
        value("VIXCLS", day - timedelta(days=3), 17.0, day - timedelta(days=2)),
        value("VIXCLS", day - timedelta(days=2), None, day - timedelta(days=1)),  # a holiday says nothing
        value("CPIAUCSL", date(2026, 10, 1), 330.0, date(2026, 11, 12)),
        value("CPIAUCSL", date(2025, 10, 1), 320.0, date(2025, 11, 12), day - timedelta(days=1)),
        value("CPIAUCSL", date(2025, 10, 1), 300.0, day),  # a revision that nobody could know yet
    )
    sink.publish(0, [Upsert("macro_observations", macro), _bars(bar(0))], refresh_enriched=keys(0), known_at=KNOWN)
    (row,) = rows("SELECT * FROM market_enriched")
    assert (row["fed_funds_pct"], row["treasury_10y_pct"], row["vix_index"]) == (3.9, 4.1, 17.0)
    assert row["cpi_yoy_pct"] == pytest.approx(3.125)
    assert (row["yield_curve_10y2y_pct"], row["dollar_index"]) == (None, None)


def test_two_streams_that_commit_at_the_same_time_do_not_miss_each_other(own_postgres_dsn: str, rows: Rows) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import psycopg

    with psycopg.connect(own_postgres_dsn) as bars, psycopg.connect(own_postgres_dsn) as news:
        for connection in (bars, news):
            connection.execute("SELECT 1")  # opens the transaction that the rest joins
        upsert_frame(bars, "bars_1m", frame("bars_1m", bar(0)))
        upsert_frame(news, "bar_news", frame("bar_news", pair("a")))
        refresh_market_enriched(bars, keys(0), KNOWN)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(refresh_market_enriched, news, keys(0), KNOWN)
            _wait_for_lock(rows)
            bars.commit()
            assert waiting.result(timeout=20) == 1
        news.commit()
    assert [row["news_count"] for row in rows("SELECT news_count FROM market_enriched")] == [1]


def _wait_for_lock(rows: Rows) -> None:
    for _ in range(10_000):
        if rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            return
    raise AssertionError("nobody waits")


def test_live_states_move_forward_only(sink: PostgresSink, rows: Rows) -> None:
    for batch_id, state in enumerate([live(100.0, 10), live(90.0, 5), live(101.0, 11)]):
        sink.publish(batch_id, [Upsert("live_markets", frame("live_markets", state))])
        assert [row["price"] for row in rows("SELECT price FROM live_markets")] == [[100.0, 100.0, 101.0][batch_id]]


def test_an_article_keeps_its_first_sighting(sink: PostgresSink, rows: Rows) -> None:
    article = {
        "article_id": "a", "source": "wire", "url": "https://example.test/a", "title": "A \t\\ \n 'title'",
        "summary": "", "content": "", "tags": ["x,y", '"q"', "{}"], "symbols": ["BTC"],
        "event_time": None, "published_at": START, "first_seen_at": KNOWN, "language": None,
            "cluster_id": None, "sentiment": None,
    }  # fmt: skip
    sink.publish(0, [Upsert("articles", frame("articles", article))])
    again = {**article, "title": "New", "first_seen_at": KNOWN + timedelta(hours=1)}
    (row,) = rows("SELECT * FROM articles")
    assert row == article
    sink.publish(1, [Upsert("articles", frame("articles", again))])
    (row,) = rows("SELECT * FROM articles")
    assert row == {**article, "title": "New"}


def test_a_mood_that_was_scored_counts_where_the_source_told_none_and_the_stream_does_not_take_it_away(
    sink: PostgresSink, rows: Rows
) -> None:
    told = {"source": "wire", "title": "A", "summary": "", "content": "", "tags": [], "symbols": ["BTC"],
            "event_time": None, "published_at": START, "first_seen_at": KNOWN, "language": None, "cluster_id": None,
            "sentiment": None}  # fmt: skip
    articles = [{**told, "article_id": name, "url": f"https://example.test/{name}"} for name in "ab"]
    news = [_pairs(pair("a"), pair("b", sentiment=0.5)), Upsert("articles", frame("articles", *articles))]
    sink.publish(0, [_bars(bar(0)), *news], refresh_enriched=keys(0), known_at=KNOWN)
    rows("UPDATE articles SET sentiment = -0.3 RETURNING 1")
    for batch_id in (1, 2):  # what streams again finds the mood where it is
        sink.publish(batch_id, news, refresh_enriched=keys(0), known_at=KNOWN)
        (row,) = rows("SELECT sentiment_mean, revision FROM market_enriched")
        assert row == {"sentiment_mean": pytest.approx(0.1), "revision": 1}


def test_every_type_comes_back_as_it_went(sink: PostgresSink, rows: Rows) -> None:
    odd = bar(0, open=0.1 + 0.2, high=1e300, low=5e-324, last_trade_id=2**62, vwap=None, completeness_reason="a\\N\tb")
    sink.publish(0, [_bars(odd)])
    assert rows("SELECT * FROM bars_1m") == [odd]


def test_times_without_a_zone_are_utc(sink: PostgresSink, rows: Rows) -> None:
    naive = frame("bars_1m", bar(0)).with_columns(
        pl.col("window_start", "window_end").dt.replace_time_zone(None).cast(pl.Datetime("ns"))
    )
    sink.publish(0, [Upsert("bars_1m", naive)])
    assert rows("SELECT window_start FROM bars_1m") == [{"window_start": START}]


def test_an_upsert_touches_the_columns_it_names_only(sink: PostgresSink, rows: Rows) -> None:
    sink.publish(0, [_bars(bar(0, return_pct=0.5))])
    sink.publish(1, [Upsert("bars_1m", frame("bars_1m", bar(0, close=99.0)).drop("return_pct"))])
    assert rows("SELECT close, return_pct FROM bars_1m") == [{"close": 99.0, "return_pct": 0.5}]


def test_rows_that_lack_what_must_be_there_stop_the_sink(sink: PostgresSink) -> None:
    with pytest.raises(FatalError, match='null value in column "completeness"'):
        sink.publish(0, [Upsert("bars_1m", frame("bars_1m", bar(0)).drop("completeness"))])


@pytest.mark.parametrize(
    ("upsert", "complaint"),
    [
        (Upsert("no_table", frame("bars_1m", bar(0))), "not a served table"),
        (Upsert("bars_1m", frame("bars_1m", bar(0)).with_columns(extra=1)), "no column extra"),
        (Upsert("bars_1m", frame("bars_1m", bar(0)).drop("venue")), "lack key column venue"),
        (Upsert("bars_1m", frame("bars_1m", bar(0), bar(0))), "repeat a key"),
    ],
)
def test_rows_that_do_not_fit_stop_the_sink_and_say_why(sink: PostgresSink, upsert: Upsert, complaint: str) -> None:
    with pytest.raises(FatalError, match=complaint):
        sink.publish(0, [upsert])


def test_upsert_counts_what_changed(own_postgres_dsn: str) -> None:
    import psycopg

    with psycopg.connect(own_postgres_dsn) as connection:
        assert upsert_frame(connection, "bars_1m", frame("bars_1m", bar(0), bar(1))) == 2
        assert upsert_frame(connection, "bars_1m", frame("bars_1m", bar(0), bar(1, close=1.0), bar(2))) == 2
        assert upsert_frame(connection, "bars_1m", frame("bars_1m", bar(0)).clear()) == 0
        assert upsert_frame(connection, "bars_1m", frame("bars_1m", bar(0)), where_changed=False) == 1


def test_old_guards_are_cleared(sink: PostgresSink, rows: Rows) -> None:
    rows("INSERT INTO ops.sink_batches SELECT 'publish', 'checkpoint-1', g FROM generate_series(0, 1999) g RETURNING 1")
    sink.publish(2000)
    assert rows("SELECT min(batch_id) AS least FROM ops.sink_batches") == [{"least": 1000}]


def test_frames_of_any_size_go_in_slices(own_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    from streaming.sinks import upsert

    monkeypatch.setattr(upsert, "SLICE_ROWS", 2)
    with psycopg.connect(own_postgres_dsn) as connection:
        assert upsert_frame(connection, "bars_1m", frame("bars_1m", *map(bar, range(5)))) == 5


def test_a_backlog_of_a_day_of_ten_markets_stays_within_the_timeout(
    sink: PostgresSink, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streaming.sinks import connection

    monkeypatch.setitem(connection._LIMITS, "statement_timeout", "5s")
    day = frame("bars_1m", *map(bar, range(1440)))
    bars = pl.concat([day.with_columns(symbol=pl.lit(f"S{number}-USDT")) for number in range(10)])
    sink.publish(0, [Upsert("bars_1m", bars)], refresh_enriched=bars, known_at=KNOWN)
    assert rows("SELECT count(*) AS n FROM market_enriched") == [{"n": 14_400}]


def test_news_that_joined_by_its_first_sight_stands_before_or_after_by_it(sink: PostgresSink, rows: Rows) -> None:
    seen_after = pair("a", after_s=-30.0, first_seen_at=START + timedelta(seconds=90), clock="first_seen")
    sink.publish(0, [_bars(bar(0)), Upsert("bar_news", frame("bar_news", seen_after))],
                 refresh_enriched=keys(0), known_at=KNOWN)  # fmt: skip
    (row,) = rows("SELECT news_count, news_before_count, news_after_count FROM market_enriched")
    assert row == {"news_count": 1, "news_before_count": 0, "news_after_count": 1}


def test_an_alert_keeps_what_it_rests_on(sink: PostgresSink, rows: Rows) -> None:
    evidence = {"bar": {"close": 101.5, "trade_count": 3}, "values": {"price": 101.5, "article_count": None}}
    sink.publish(0, alerts=[alert(article_ids=("a", "b"), evidence=evidence)])
    (row,) = rows("SELECT article_ids, evidence::jsonb AS evidence FROM alerts")
    assert row == {"article_ids": ["a", "b"], "evidence": evidence}
    ((_, waiting),) = sink.pending_alerts()
    assert (waiting.article_ids, waiting.evidence) == (("a", "b"), evidence)
