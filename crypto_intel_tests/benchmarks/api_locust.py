"""What one reader of the API asks for, for locust: mostly bars of the last hours, now and then the rest."""

from __future__ import annotations

import os
import random
from typing import ClassVar
from urllib.parse import urlencode

import gevent
from locust import FastHttpUser, constant_throughput, task

from crypto_intel_tests.benchmarks.api_mix import PER_USER_S, SYMBOLS


class Reader(FastHttpUser):  # type: ignore[misc]
    """Asks four times a second, whatever the answers take. Its client takes a fifth of the CPU of the usual one."""

    wait_time = constant_throughput(PER_USER_S)
    default_headers: ClassVar = {"Authorization": f"Bearer {os.environ.get('LOAD_KEY', '')}"}

    def on_start(self) -> None:
        """Readers begin at different moments: together they would ask in bursts of fifty, four times a second."""
        gevent.sleep(random.uniform(0, 1 / PER_USER_S))

    def _get(self, path: str, name: str, **params: object) -> None:
        self.client.get(f"/api/v1{path}?{urlencode(params)}", name=name)

    def _symbol(self) -> str:
        return f"{random.choice(SYMBOLS)}-USDT"

    @task(50)
    def newest_bars(self) -> None:
        """The last hundred minutes of a market."""
        self._get("/bars", "bars 1m, newest 100", symbol=self._symbol(), limit=100)

    @task(20)
    def bars_of_a_range(self) -> None:
        """Two hours somewhere in the thirty days."""
        day, hour = random.randint(1, 28), random.randint(0, 21)
        start, end = f"2026-10-{day:02}T{hour:02}:00:00Z", f"2026-10-{day:02}T{hour + 2:02}:00:00Z"
        self._get("/bars", "bars 1m, 2 hours", symbol=self._symbol(), start=start, end=end)

    @task(10)
    def five_minutes(self) -> None:
        """A day of five minutes."""
        self._get("/bars", "bars 5m, a day", symbol=self._symbol(), interval="5m", limit=288)

    @task(10)
    def prices(self) -> None:
        """Newest states."""
        self._get("/prices", "prices")

    @task(5)
    def hours(self) -> None:
        """Two days of hours, rolled up."""
        start, end = "2026-10-20T00:00:00Z", "2026-10-22T00:00:00Z"
        self._get("/bars", "bars 1h, 2 days", symbol=self._symbol(), interval="1h", start=start, end=end)

    @task(5)
    def alerts(self) -> None:
        """Newest alerts."""
        self._get("/alerts", "alerts", limit=50)
