"""The product as one row of the peers' harness: its own jobs over a backlog, to bars and pairs in Delta and PostgreSQL.

`python -m crypto_intel_tests.benchmarks.peer`, with PEERS_* in the environment as that harness sets them. The jobs are
those of `python -m streaming.jobs` (product.py), with another reader (wire.py); bronze is written too. What the harness
wants to look at, under its own names, is selected from the lake and the served table at the end.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import polars as pl
import psycopg
from deltalake import write_deltalake

from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.contracts.tables import SILVER_BAR_NEWS, SILVER_BARS_1M
from crypto_intel.stack import java
from crypto_intel.stack.jars import default_folder, resolve_jars
from crypto_intel.stack.postgres import migrate
from crypto_intel_tests.benchmarks import product
from crypto_intel_tests.benchmarks.measure import say
from crypto_intel_tests.benchmarks.wire import read_record
from streaming.settings import StreamingSettings

_BAR = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume_base", "vwap": "vwap"}


class OnlyTheseTopics(Topics):
    """The two topics that the harness fills."""

    @property
    def ingested(self) -> list[str]:
        """Trades and news."""
        return [self.trades, self.news]


def settings_of(prefix: str) -> StreamingSettings:
    """The product's settings for this backlog, through the environment as always."""
    home = java.find_java_home()
    os.environ |= {
        **product.SETTINGS,
        "JAVA_HOME": str(home),
        "CRYPTO_INTEL_SOURCE": "sim",
        "CRYPTO_INTEL_DATA_DIR": os.environ["PEERS_STATE"],
        "CRYPTO_INTEL_POSTGRES_DSN": os.environ["PEERS_PG"],
        "CRYPTO_INTEL_SPARK__JARS": str(resolve_jars(default_folder(), home).spark),
        "CRYPTO_INTEL_SPARK__CONF": os.environ.get("PEERS_CONF", "{}"),
    }
    topics = dict.fromkeys(Topics.model_fields, f"{prefix}none")
    topics |= {"trades": f"{prefix}trades_topic", "news": f"{prefix}news_topic"}
    return StreamingSettings(kafka=Kafka(bootstrap=os.environ["PEERS_BOOTSTRAP"]), topics=OnlyTheseTopics(**topics))


def main() -> None:
    """Run over the backlog and leave."""
    settings = settings_of(os.environ.get("PEERS_PREFIX", "peers_"))
    migrate(os.environ["PEERS_PG"])
    with psycopg.connect(os.environ["PEERS_PG"]) as connection:
        connection.execute("TRUNCATE bars_1m, bars_5m, bar_news, articles, market_enriched")
    facts = product.run(settings, read_record)
    _show(settings, Path(os.environ["PEERS_OUT"]))
    say("done", batch=settings.max_records_per_batch, **facts)
    sys.stdout.flush()
    os._exit(0)  # everything is durable: the harness asks for no orderly end


def _show(settings: StreamingSettings, out: Path) -> None:
    """The bars and pairs under the harness' names."""
    lake = settings.lake_root
    name = pl.col("symbol").str.replace("-", "")
    own = [pl.col(ours).alias(theirs) for theirs, ours in _BAR.items()]
    bars = (
        pl.read_delta(SILVER_BARS_1M.path(lake))
        .filter(pl.col("trade_count") > 0)
        .select(name, "window_start", "window_end", *own, "trade_count")
    )
    pairs = (
        pl.read_delta(SILVER_BAR_NEWS.path(lake))
        .with_columns(name)
        .join(bars.select("symbol", "window_start", "vwap", "trade_count"), on=["symbol", "window_start"])
        .select(
            *("symbol", "window_start", "window_end", "close", "vwap", "trade_count", "article_id"),
            *("published_at", "title", "sentiment"),
        )
    )
    write_deltalake(str(out / "bars"), bars.to_arrow())
    write_deltalake(str(out / "pairs"), pairs.to_arrow())
    with psycopg.connect(os.environ["PEERS_PG"]) as connection:
        connection.execute(
            "INSERT INTO bars SELECT replace(symbol, '-', ''), window_start AT TIME ZONE 'UTC', "
            "window_end AT TIME ZONE 'UTC', open, high, low, close, volume_base, vwap, trade_count "
            "FROM bars_1m WHERE trade_count > 0"
        )


if __name__ == "__main__":
    main()
