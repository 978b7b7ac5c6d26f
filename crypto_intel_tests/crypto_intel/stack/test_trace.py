"""From an alert back to its Kafka records: on a real database and a real lake with known rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from crypto_intel.contracts.tables import BRONZE_TRADES
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.trace import Trace, follow, lines
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.postgres import PostgresSink, Upsert

pytestmark = pytest.mark.stack

ALERT = "price_move:binance:BTC-USDT:1"
SECOND = timedelta(seconds=1)


@pytest.fixture
def dsn(own_postgres_dsn: str) -> SecretStr:
    """A database with an alert about two minutes, and their bars."""
    end = sample.START + timedelta(minutes=2)
    times = {"window_start": sample.START, "window_end": end, "raised_at": end + SECOND}
    alert = sample.alert(ALERT, **{name: int(at.timestamp() * 1e6) for name, at in times.items()})
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="live", epoch="e")
    bars = [sample.bar(0), sample.bar(1, first_trade_id=11, last_trade_id=20)]
    sink.publish(0, [Upsert("bars_1m", sample.frame("bars_1m", *bars))], alerts=[alert])
    sink.mark_published([ALERT])
    return SecretStr(own_postgres_dsn)


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """A lake with 20 trades of the two minutes, one of the minute before, and one of another market."""
    trades = [_trade(number, sample.START + timedelta(seconds=6 * (number - 1))) for number in range(1, 21)]
    trades += [_trade(0, sample.START - SECOND), _trade(5, sample.START, symbol="ETH-USDT")]
    lakes.append(tmp_path, BRONZE_TRADES, trades)
    return str(tmp_path)


def _trade(number: int, at: object, **other: object) -> dict[str, object]:
    return lakes.trade(number, at, received_at=at + SECOND, kafka_time=at + 2 * SECOND, **other)  # type: ignore[arg-type, operator]


def test_an_alert_is_followed_to_the_offsets_of_exactly_its_trades(dsn: SecretStr, lake: str) -> None:
    found = follow(dsn, lake, ALERT)
    assert [row["first_trade_id"] for row in found.bars] == [1, 11]
    assert found.trades is not None
    (trades,) = found.trades
    assert (trades["topic"], trades["partition"]) == ("trades_topic", 0)
    assert (trades["first_offset"], trades["last_offset"], trades["records"]) == (1, 20, 20)
    assert trades["first_event_time"] == sample.START
    assert trades["last_received_at"] - trades["last_event_time"] == SECOND
    assert trades["last_kafka_time"] - trades["last_received_at"] == SECOND
    assert found.delivery[0]["published_at"] >= found.delivery[0]["created_at"]


def test_each_hop_is_told_with_its_times(dsn: SecretStr, lake: str) -> None:
    told = "\n".join(lines(follow(dsn, lake, ALERT)))
    for words in (
        f"alert     {ALERT}",
        "raised 2026-11-20 12:02:01.000 (platform clock)",
        "ids 11 to 20, 100 % complete",
        "trades_topic[0] offsets 1 to 20: 20 trades",
        "at the venue 2026-11-20 12:00:00.000 to 12:01:54.000",
        "received     2026-11-20 12:00:01.000 to 12:01:55.000",
        "in Kafka     2026-11-20 12:00:02.000 to 12:01:56.000",
    ):
        assert words in told


def test_a_lake_that_is_not_in_reach_is_told_as_such(dsn: SecretStr, tmp_path: Path) -> None:
    found = follow(dsn, str(tmp_path / "nowhere"), ALERT)
    assert found.trades is None
    assert "the lake cannot be read from here" in "\n".join(lines(found))


def test_an_alert_of_an_open_minute_has_no_bar_yet(dsn: SecretStr, lake: str) -> None:
    found = follow(dsn, lake, ALERT)
    told = "\n".join(lines(Trace(found.alert, trades=found.trades)))
    assert "the minute is still open" in told
    assert "20 trades" in told


def test_an_unknown_alert_and_a_database_that_is_away_are_sentences(dsn: SecretStr, lake: str) -> None:
    with pytest.raises(StackError, match="there is no alert nothing"):
        follow(dsn, lake, "nothing")
    with pytest.raises(StackError, match="does not answer") as error:
        follow(SecretStr("postgresql://ci:CANARY@127.0.0.1:1/postgres"), lake, ALERT)
    assert "CANARY" not in str(error.value)
