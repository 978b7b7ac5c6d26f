"""FRED's wire forms, held to recorded bodies."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_intel.core.errors import PermanentError
from crypto_intel.core.fred import (
    error_message,
    parse_observations_page,
    parse_release,
    parse_release_dates,
    parse_series,
)
from crypto_intel.core.macro import parse_observations

PARSERS = (parse_observations_page, parse_series, parse_release, parse_release_dates)


def read(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


@pytest.mark.parametrize(
    ("name", "count", "missing"),
    [
        ("CPILFESL.json", 813, 0),
        ("GDP.json", 315, 4),
        ("GDP_initial_release_output_type4.json", 132, 0),
        ("GDP_vintages_asof_2019.json.gz", 2902, 245),
        ("WGS10YR.json.gz", 3278, 0),
    ],
)
def test_recorded_observations_parse_whole(shared_data: Path, name: str, count: int, missing: int) -> None:
    body = read(shared_data / "fred" / "api_json" / f"observations_{name}")
    page = parse_observations_page(body)
    assert page.count == len(page.observations) == count
    assert sum(observation.number is None for observation in page.observations) == missing
    rows = parse_observations("GDP", json.loads(body)["observations"], datetime.now(UTC))
    assert rows["value"].null_count() == missing


@pytest.mark.parametrize(("name", "frequency"), [("CPILFESL", "M"), ("DGS5", "D"), ("GDP", "Q"), ("WGS10YR", "W")])
def test_recorded_metadata_parses(shared_data: Path, name: str, frequency: str) -> None:
    info = parse_series(read(shared_data / "fred" / "api_json" / f"series_{name}.json"))
    assert (info.id, info.frequency_short) == (name, frequency)
    assert info.observation_start < info.observation_end
    assert info.updated_at.tzinfo is not None


def test_every_recorded_table_has_the_days_of_its_series(shared_data: Path) -> None:
    files = sorted((shared_data / "fred" / "csv").glob("*.csv"))
    assert len(files) == 33
    for file in files:
        rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
        observations = [
            {"date": day, "value": value or ".", "realtime_start": day, "realtime_end": "9999-12-31"}
            for day, value in rows
        ]
        page = parse_observations_page(json.dumps({"count": len(rows), "observations": observations}).encode())
        assert sum(one.number is None for one in page.observations) == sum(not value for _, value in rows)


def test_release_days_are_days() -> None:
    body = b'{"count": 2, "release_dates": [{"release_id": 10, "date": "2024-10-10"}, {"date": "2024-11-13"}]}'
    assert parse_release_dates(body).days == [date(2024, 10, 10), date(2024, 11, 13)]


@pytest.mark.parametrize(
    ("body", "message"),
    [(b'{"error_message": "Bad Request."}', "Bad Request."), (b"<html>\xff", "<html>\ufffd"), (b"{}", "")],
)
def test_a_refusal_is_told_in_freds_words_where_there_are_any(body: bytes, message: str) -> None:
    assert error_message(body) == message


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"seriess": [], "releases": []}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    for parse in PARSERS:
        with pytest.raises(PermanentError):
            parse(body)


_values = st.none() | st.integers() | st.text(max_size=9)
_row = st.dictionaries(st.sampled_from(["date", "value", "realtime_start", "realtime_end", "id", "name"]), _values)
_names = st.sampled_from(["count", "observations", "seriess", "releases", "release_dates"])


@settings(deadline=None, max_examples=60)
@given(st.binary() | st.dictionaries(_names, st.lists(_row, max_size=3) | _values))
def test_arbitrary_bodies_are_read_or_refused(content: Any) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    error_message(body)
    for parse in PARSERS:
        with contextlib.suppress(PermanentError):
            parse(body)
