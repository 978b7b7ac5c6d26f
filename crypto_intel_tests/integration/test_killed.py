"""The streaming application on real servers, its driver and a worker killed while records flow."""

from __future__ import annotations

import pytest

from crypto_intel_tests.chaos.judgement import Verdict

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_a_driver_and_a_worker_killed_while_records_flow_lose_and_double_nothing(killed: Verdict) -> None:
    assert killed.is_right, killed
