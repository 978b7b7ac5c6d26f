"""The FRED client pages, repeats what may succeed, refuses what can not, and never shows the key."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError
from crypto_intel.resources import fred as module
from crypto_intel.resources.fred import Budget, Fred

pytestmark = pytest.mark.stack

KEY = "not-a-real-key-0123456789"
Answer = Callable[[dict[str, str]], tuple[int, Any]]


class FakeFred:
    """A small HTTP server whose answers a test gives; keeps the queries."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.answer: Answer = lambda _query: (200, {"count": 0, "observations": []})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = dict(parse_qsl(urlsplit(self.path).query))
                outer.queries.append(query)
                status, body = outer.answer(query)
                payload = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFred]:
    fake = FakeFred()
    thread = threading.Thread(target=fake.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("CRYPTO_INTEL_FRED__URL", fake.url)
    monkeypatch.setenv("CRYPTO_INTEL_FRED__API_KEY", KEY)
    monkeypatch.setattr(module.stamina, "retry_context", _eager(module.stamina.retry_context))
    yield fake
    fake.server.shutdown()
    thread.join()


def _eager(retry: Callable[..., Any]) -> Callable[..., Any]:
    # The same retries without the waiting.
    return lambda **options: retry(**{**options, "wait_initial": 0.001, "wait_max": 0.002})


def item(day: str, value: str = "1.0") -> dict[str, str]:
    return {"date": day, "value": value, "realtime_start": day, "realtime_end": "9999-12-31"}


def fetch() -> list[dict[str, str]]:
    with Fred().client() as client:
        return client.observations("DGS10", date(2024, 1, 1), date(2024, 12, 31))


def test_one_request_asks_for_all_vintages_of_the_range(fake: FakeFred) -> None:
    fake.answer = lambda _query: (200, {"count": 1, "observations": [item("2024-01-02")]})
    assert fetch() == [item("2024-01-02")]
    assert len(fake.queries) == 1
    wanted = {"series_id": "DGS10", "observation_start": "2024-01-01", "observation_end": "2024-12-31"}
    vintages = {"realtime_start": "2024-01-01", "realtime_end": "9999-12-31", "file_type": "json", "api_key": KEY}
    assert fake.queries[0].items() >= (wanted | vintages).items()


def test_further_pages_are_fetched(fake: FakeFred) -> None:
    pages = {"0": [item("2024-01-02"), item("2024-01-03")], "2": [item("2024-01-04")]}
    fake.answer = lambda query: (200, {"count": 3, "observations": pages[query["offset"]]})
    assert [one["date"] for one in fetch()] == ["2024-01-02", "2024-01-03", "2024-01-04"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_repeated(fake: FakeFred, status: int) -> None:
    answers = iter([(status, {}), (status, {}), (200, {"count": 0, "observations": []})])
    fake.answer = lambda _query: next(answers)
    assert fetch() == []
    assert len(fake.queries) == 3


def test_a_failure_that_stays_is_given_up_and_called_transient(fake: FakeFred) -> None:
    fake.answer = lambda _query: (503, {})
    with pytest.raises(TransientError, match="HTTP 503"):
        fetch()
    assert len(fake.queries) == module.ATTEMPTS


def test_a_refusal_is_not_repeated_and_says_what_fred_said(fake: FakeFred) -> None:
    fake.answer = lambda _query: (400, {"error_code": 400, "error_message": "Bad Request. The series does not exist."})
    with pytest.raises(PermanentError, match="series does not exist"):
        fetch()
    assert len(fake.queries) == 1


def test_too_many_vintages_are_asked_for_in_halves(fake: FakeFred) -> None:
    def answer(query: dict[str, str]) -> tuple[int, Any]:
        if query["realtime_start"] == "2024-01-01" and query["realtime_end"] == "9999-12-31":
            return 400, {
                "error_message": "Bad Request. This exceeds the maximum number of vintage dates allowed (2000)."
            }
        return 200, {"count": 1, "observations": [item(query["realtime_start"])]}

    fake.answer = answer
    assert len(fetch()) == 2
    first, second = fake.queries[1:]
    assert first["realtime_start"] == "2024-01-01" and second["realtime_end"] == "9999-12-31"
    assert date.fromisoformat(first["realtime_end"]) < date.fromisoformat(second["realtime_start"])


def test_the_key_is_in_no_log_and_in_no_error(fake: FakeFred, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="httpx")
    fake.answer = lambda _query: (503, b"busy")
    with pytest.raises(TransientError) as failure:
        fetch()
    assert KEY not in caplog.text
    assert KEY not in str(failure.value) and KEY not in repr(failure.getrepr(chain=True))


def test_an_address_that_answers_nothing_is_transient(fake: FakeFred, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_FRED__URL", "http://127.0.0.1:1")
    with pytest.raises(TransientError, match="ConnectError"):
        fetch()


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRYPTO_INTEL_FRED__API_KEY", raising=False)
    assert not Fred().is_configured()
    with pytest.raises(NotConfigured, match="CRYPTO_INTEL_FRED__API_KEY"):
        fetch()


def test_the_budget_lets_a_minutes_requests_pass_and_then_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = [1000.0], []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.time, "sleep", pause)
    budget = Budget(per_minute=2)
    for _ in range(3):
        budget.take()
    assert waited == [60.0]
    assert len(budget.taken) == 2


def test_metadata_and_release_days_are_typed(fake: FakeFred) -> None:
    info = {
        "id": "DGS10",
        "title": "10-Year",
        "frequency": "Daily",
        "frequency_short": "D",
        "units": "Percent",
        "seasonal_adjustment": "Not Seasonally Adjusted",
        "seasonal_adjustment_short": "NSA",
        "observation_start": "1962-01-02",
        "observation_end": "2024-10-25",
        "last_updated": "2024-10-28 15:23:53-05",
    }
    bodies: dict[str, Any] = {
        "series": {"seriess": [info]},
        "release": {"releases": [{"id": 18, "name": "H.15", "press_release": True}]},
        "dates": {"count": 3, "release_dates": [{"release_id": 18, "date": f"2024-10-{d}"} for d in (24, 25, 28)]},
    }
    fake.answer = lambda query: (
        200,
        bodies["dates"] if "release_id" in query else bodies["series" if len(fake.queries) == 1 else "release"],
    )
    with Fred().client() as client:
        assert client.series("DGS10").observation_start == date(1962, 1, 2)
        assert client.release("DGS10").id == 18
        assert client.release_dates(18, date(2024, 10, 1)) == [date(2024, 10, d) for d in (24, 25, 28)]
    assert fake.queries[-1]["include_release_dates_with_no_data"] == "false"


def test_a_key_that_fred_shows_is_blotted_out(fake: FakeFred) -> None:
    fake.answer = lambda query: (400, {"error_message": f"Bad Request. api_key {query['api_key']} is not registered."})
    with pytest.raises(PermanentError, match=r"api_key \*\*\* is not registered") as failure:
        fetch()
    assert KEY not in repr(failure.getrepr(chain=True))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "", "n/a"])
def test_a_value_that_is_no_number_stops_the_load(fake: FakeFred, value: str) -> None:
    fake.answer = lambda _query: (200, {"count": 1, "observations": [item("2024-01-02", value)]})
    with pytest.raises(PermanentError, match="no number"):
        fetch()
