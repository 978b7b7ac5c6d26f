"""The API's process as it starts: what lasts as long as it does is never walked over again."""

from __future__ import annotations

import os
import subprocess
import sys

_LEFT = """
import gc
from crypto_intel.serving.api.__main__ import make_app
app = make_app()
print(len(gc.get_objects()), gc.get_freeze_count())
"""


def test_collections_walk_over_next_to_nothing_once_it_has_started() -> None:
    environment = {**os.environ, "CRYPTO_INTEL_POSTGRES_DSN": "postgresql://nowhere"}
    done = subprocess.run([sys.executable, "-c", _LEFT], env=environment, capture_output=True, text=True, check=True)
    walked, left_out = map(int, done.stdout.split()[-2:])
    assert walked < 1_000
    assert left_out > 50_000
