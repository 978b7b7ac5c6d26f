"""`python -m streaming.simulator`: serve until told to stop."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from streaming.log import configure_log
from streaming.simulator.app import Simulator
from streaming.simulator.settings import SimulatorSettings


async def _serve(settings: SimulatorSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(settings) as simulator:
        await simulator.run_until(stop)


def main() -> None:
    """Read the settings and serve."""
    settings = SimulatorSettings()
    configure_log(json=settings.log_json)
    uvloop.run(_serve(settings))


if __name__ == "__main__":
    main()
