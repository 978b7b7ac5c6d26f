"""`crypto-intel keys`: made once, shown once, listed without secrets, revoked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crypto_intel.serving.keys import SCOPES

pytestmark = pytest.mark.stack


def _keys(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crypto_intel.cli", "keys", *arguments]
    environment = {**os.environ, "CRYPTO_INTEL_POSTGRES_DSN": dsn}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_a_key_is_shown_once_listed_and_revoked(own_postgres_dsn: str) -> None:
    key = _keys(own_postgres_dsn, "create", "desk", "--scope", "alerts", "--days", "3").stdout.strip()
    key_id, secret = key.split("_", 2)[1:]
    listed = _keys(own_postgres_dsn, "list").stdout
    assert key_id in listed
    assert "good" in listed
    assert secret not in listed
    assert _keys(own_postgres_dsn, "revoke", key_id).returncode == 0
    assert "revoked" in _keys(own_postgres_dsn, "list").stdout
    again = _keys(own_postgres_dsn, "revoke", key_id)
    assert (again.returncode, "keys list" in again.stderr) == (1, True)


def test_a_scope_that_there_is_not_is_refused_with_those_there_are(own_postgres_dsn: str) -> None:
    answer = _keys(own_postgres_dsn, "create", "x", "--scope", "everything")
    assert answer.returncode == 2
    assert "'everything' is not one of" in answer.stderr
    assert all(f"'{scope}'" in answer.stderr for scope in SCOPES)
    assert "Traceback" not in answer.stderr
