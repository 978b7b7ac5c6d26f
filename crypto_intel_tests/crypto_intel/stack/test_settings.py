"""A wrong setting names itself and what is allowed; data folders of different sources never meet by default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.settings import StackSettings, load_settings


def test_wrong_settings_name_themselves_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_PORTS__KAFKA", "99999")
    monkeypatch.setenv("CRYPTO_INTEL_SOURCE", "kraken")
    monkeypatch.setenv("CRYPTO_INTEL_SPARK__DRIVER_MEMORY", "lots")
    with pytest.raises(StackError) as caught:
        load_settings()
    golden("stack_settings_error.txt", str(caught.value) + "\n")


def test_each_source_has_a_folder_of_its_own() -> None:
    settings = StackSettings()
    folders = {settings.folder(source) for source in ("sim", "replay", "live")}
    assert len(folders) == 3


def test_a_named_folder_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_DATA_DIR", str(tmp_path / "set"))
    settings = StackSettings()
    assert settings.folder("sim") == tmp_path / "set"
    assert settings.folder("sim", tmp_path / "given") == tmp_path / "given"
