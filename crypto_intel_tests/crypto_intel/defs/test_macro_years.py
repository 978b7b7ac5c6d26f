"""A macro_years run loads a range of years with one request a series, and a repeated run changes nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS, SERIES_IDS
from crypto_intel.definitions import build_defs
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres

pytestmark = pytest.mark.stack

FIRST, LAST = SERIES_IDS[0], SERIES_IDS[-1]
RANGE = {
    "dagster/asset_partition_range_start": f"{FIRST}|2023",
    "dagster/asset_partition_range_end": f"{LAST}|2024",
}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """A small FRED: one observation a year asked for; keeps the queries."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            seen.append(query)
            payload = json.dumps(_answer(query)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("CRYPTO_INTEL_FRED__URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("CRYPTO_INTEL_FRED__API_KEY", "not-a-real-key")
    yield seen
    server.shutdown()
    thread.join()


def _answer(query: dict[str, str]) -> dict[str, Any]:
    first, last = int(query["observation_start"][:4]), int(query["observation_end"][:4])
    rows = [
        {"date": f"{year}-06-01", "value": "3.5", "realtime_start": f"{year}-07-01", "realtime_end": "9999-12-31"}
        for year in range(first, last + 1)
    ]
    return {"count": len(rows), "observations": rows}


def run(graph: dg.Definitions, selection: list[str], tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = graph.resolve_job_def("macro_years")
    keys = [dg.AssetKey.from_user_string(key) for key in selection]
    return job.execute_in_process(tags=tags, asset_selection=keys or None, raise_on_error=False)


def test_a_range_of_years_is_one_run_with_one_request_a_series(
    lake_resources: dict[str, Any], lake: Lake, own_postgres_dsn: str, requests: list[dict[str, str]]
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    graph = build_defs(resource_overrides={**lake_resources, "postgres": postgres})
    first, versions = None, []
    for _ in range(2):
        result = run(graph, [], RANGE)
        assert result.success
        assert {check.passed for check in result.get_asset_check_evaluations()} == {True}
        first = first if first is not None else lake.scan(MACRO_FRED_OBSERVATIONS).collect()
        versions += [facts.version] if (facts := lake.facts(MACRO_FRED_OBSERVATIONS)) else []
    assert versions == [1, 1]  # the second run found nothing new, and wrote nothing
    assert sorted(query["series_id"] for query in requests) == sorted([*SERIES_IDS] * 2)
    rows = lake.scan(MACRO_FRED_OBSERVATIONS).collect()
    assert_frame_equal(rows, first, check_row_order=False)
    assert dict(rows.group_by("observation_year").len().iter_rows()) == dict.fromkeys(("2023", "2024"), len(SERIES_IDS))
    with postgres.connect() as connection:
        count = connection.execute("SELECT count(*) FROM public.macro_observations").fetchone()
    assert count == (2 * len(SERIES_IDS),)


def test_a_year_that_is_loaded_again_leaves_the_others_alone(
    graph: dg.Definitions, lake: Lake, requests: list[dict[str, str]]
) -> None:
    run(graph, ["macro/fred_observations"], RANGE)
    first = lake.scan(MACRO_FRED_OBSERVATIONS).filter(pl.col("observation_year") == "2023").collect()
    one = {
        "dagster/partition": f"{LAST}|2024",
        "dagster/partition/series": LAST,
        "dagster/partition/year": "2024",
    }
    before = len(requests)
    assert run(graph, ["macro/fred_observations"], one).success
    assert [query["series_id"] for query in requests[before:]] == [LAST]
    assert requests[-1]["observation_start"] == "2024-01-01"
    again = lake.scan(MACRO_FRED_OBSERVATIONS).filter(pl.col("observation_year") == "2023").collect()
    assert again.sort("series_id").equals(first.sort("series_id"))


def test_without_a_key_the_run_fails_by_name(graph: dg.Definitions) -> None:
    result = run(graph, ["macro/fred_observations"], RANGE)
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "CRYPTO_INTEL_FRED__API_KEY" in str(failure.event_specific_data)
