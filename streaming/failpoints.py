"""Places where a test can have the process killed: at the edges between a batch's sinks.

`CRYPTO_INTEL_FAILPOINT=after:bronze.trades` kills the process, as a lost machine would, when it gets there the first
time; `after:bronze.trades@3` the third time. Unset, `reach` does nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "CRYPTO_INTEL_FAILPOINT"

_reached: Counter[str] = Counter()


def reach(place: str) -> None:
    """Say that the process is at `place`."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    name, _, times = wanted.partition("@")
    _reached[place] += 1
    if name == place and _reached[place] >= int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
