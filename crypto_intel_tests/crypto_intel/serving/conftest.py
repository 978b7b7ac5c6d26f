"""Fixtures of the serving tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(repo_root: Path) -> Path:
    """Where the migrations are."""
    return repo_root / "crypto_intel" / "serving" / "migrations"
