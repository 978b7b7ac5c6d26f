"""`python -m streaming.simulator`: serve until told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog
import uvloop

from streaming.errors import FatalError
from streaming.log import configure_log
from streaming.simulator.app import Simulator
from streaming.simulator.settings import SimulatorSettings

log = structlog.get_logger(__name__)


async def _serve(settings: SimulatorSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(settings) as simulator:
        await simulator.run_until(stop)


def main() -> int:
    """Exit code 0 after a signal, 1 when it cannot serve."""
    settings = SimulatorSettings()
    configure_log(json=settings.log_json)
    try:
        uvloop.run(_serve(settings))
    except (FatalError, OSError) as error:  # a capture that cannot be read, a port that is taken
        log.error("simulator stops", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
