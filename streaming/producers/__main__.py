"""`python -m streaming.producers NAME ...`: one trade feed, or any of the polled sources in one process.

Until SIGTERM or SIGINT. Trade feeds have a process each, since each can fill a core; polled sources share one, since
memory matters more to them.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable

import stamina
import structlog
import uvloop

from streaming.errors import FatalError
from streaming.log import configure_log
from streaming.producers.pollers import SOURCES, run_pollers
from streaming.producers.settings import ProducerSettings
from streaming.producers.trades import MAKERS, run_trades

log = structlog.get_logger(__name__)


async def _until_signalled(producer: Awaitable[None]) -> None:
    """Run; a signal cancels it, and what it still holds is flushed on the way out."""
    task = asyncio.ensure_future(producer)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopped")


def main() -> int:
    """Exit code 0 after a signal, 1 when going on would lose data, 2 for a wrong name."""
    names = list(dict.fromkeys(sys.argv[1:]))
    is_feed = len(names) == 1 and names[0] in MAKERS
    if not names or not (is_feed or set(names) <= set(SOURCES)):
        usage = f"{{{','.join(MAKERS)}}} | {{{','.join(SOURCES)}}} ..."
        sys.stderr.write(f"usage: python -m streaming.producers {usage}\n")
        return 2
    settings = ProducerSettings()
    configure_log(json=settings.log_json)
    stamina.instrumentation.set_on_retry_hooks([])  # what fails is told by feed status and log, once each
    try:
        uvloop.run(_until_signalled(run_trades(settings, names[0]) if is_feed else run_pollers(settings, names)))
    except FatalError as error:
        log.error("producer stops", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
