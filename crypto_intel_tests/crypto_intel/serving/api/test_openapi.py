"""The API's description: it is the golden one, has examples, and requests made from it find no fault.

`make fuzz-api` makes more than 10,000 of these requests; here are some hundred.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from crypto_intel.contracts.serving import BARS_1M
from crypto_intel.serving import keys
from crypto_intel.serving.api.app import create_app
from crypto_intel_tests.crypto_intel.serving.api.server import served, settings

EXAMPLES = int(os.environ.get("CRYPTO_INTEL_FUZZ_EXAMPLES", "5"))
"""Random requests an operation."""

PROCESSES = (os.cpu_count() or 1) if EXAMPLES > 5 else 1
PHASES = "examples,coverage,fuzzing" if EXAMPLES > 5 else "examples,fuzzing"
"""The phase of coverage makes some 1,500 requests, a minute of them."""

_GENERATED = re.compile(r"([\d,]+) generated")
_CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "ignored_auth", "use_after_free",
)  # fmt: skip
"""All but positive_data_acceptance: that a cursor is one that an answer gave, no schema can say."""

_CONFIG = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
"""
"""Schemathesis' own list with 413, since a list that is too long may be too many bytes first, and without 5xx."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The OpenAPI document; no server and no database is needed for it."""
    return create_app(settings("postgresql://nowhere", tmp_path_factory.mktemp("api"))).openapi()


def test_the_description_is_the_golden_one(document: dict[str, Any], golden: Callable[[str, str], None]) -> None:
    golden("openapi.json", json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def test_rows_are_those_of_the_contracts(document: dict[str, Any]) -> None:
    bar = document["components"]["schemas"]["Bar"]["properties"]
    assert {name: found["description"] for name, found in bar.items()} == {c.name: c.doc for c in BARS_1M.columns}


def test_every_operation_says_what_it_is_and_shows_examples(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            assert "200" in operation["responses"], (method, path)
    for name, schema in document["components"]["schemas"].items():
        if name in {"Bar", "EnrichedRow", "Alert", "Gap", "Article", "Price"}:
            assert all(field.get("examples") for field in schema["properties"].values()), name


@pytest.fixture(scope="module")
def fuzzed(api_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of an API of its own, and a key that may do everything."""
    key = keys.create(SecretStr(api_dsn), "fuzz", ["admin"], rate_per_minute=10_000_000).get_secret_value()
    with served(settings(api_dsn, tmp_path_factory.mktemp("fuzzed"), redis_url)) as address:
        yield address, key


@pytest.mark.stack
@pytest.mark.timeout(3_600)
def test_requests_made_from_the_description_find_no_fault(
    fuzzed: tuple[str, str], document: dict[str, Any], tmp_path: Path
) -> None:
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    # What makes requests is one thread of Python, and takes longer than the API: a process a core, if there are many.
    shares = [operations[number::PROCESSES] for number in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        done = list(pool.map(lambda share: _ask(fuzzed, share, tmp_path), shares))
    for each in done:
        print(_told(each.stdout))  # noqa: T201 - what was asked, for `make fuzz-api`
    generated = [int(found[1].replace(",", "")) for each in done if (found := _GENERATED.search(each.stdout))]
    print(f"{sum(generated):,} requests made from the description of {len(operations)} operations")  # noqa: T201
    assert [each.returncode for each in done] == [0] * PROCESSES, "\n".join(_told(each.stdout) for each in done)
    assert sum(generated) > 15 * EXAMPLES


def _told(output: str) -> str:
    """The failures with the requests that repeat them, if there are any, and the summary."""
    start = output.find("= FAILURES =")
    return output[-6_000:] if start < 0 else output[start:][:60_000]


def _ask(fuzzed: tuple[str, str], operations: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    address, key = fuzzed
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG, encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config),
        "run", f"{address}/openapi.json",
        "--header", f"Authorization: Bearer {key}", "--max-examples", str(EXAMPLES), "--seed", "7", "--no-color",
        "--phases", PHASES, "--checks", ",".join(_CHECKS), "--continue-on-failure", "--generation-database", "none",
        "--suppress-health-check", "all", "--request-timeout", "20", "--warnings", "off",
        *(part for name in operations for part in ("--include-operation-id", name)),
    ]  # fmt: skip
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=folder, timeout=3_500
    )
