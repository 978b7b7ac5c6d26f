"""Puts the simulator together and runs its two servers."""

from __future__ import annotations

import asyncio
from types import TracebackType

import structlog
from aiohttp import web

from streaming.errors import FatalError
from streaming.simulator.backing import MarketBacking
from streaming.simulator.chaos import Chaos, read_schedule
from streaming.simulator.desk import Desk
from streaming.simulator.faults import Faults
from streaming.simulator.fred import MacroSource
from streaming.simulator.gate import Gate
from streaming.simulator.http import World, application
from streaming.simulator.hub import Hub
from streaming.simulator.ledger import Ledger
from streaming.simulator.market import KRAKEN_INSTRUMENTS, KRAKEN_NUMBER, SeededMarket
from streaming.simulator.news import NewsWire
from streaming.simulator.origin import origin_of
from streaming.simulator.paths import ASSETS, PricePaths
from streaming.simulator.recording import RecordingBacking
from streaming.simulator.rest_faults import RestFaults
from streaming.simulator.settings import SimulatorOptions, SimulatorSettings
from streaming.simulator.venue import Backing

LEDGER_FILE = "source_ledger.json"

log = structlog.get_logger(__name__)


def build_world(settings: SimulatorSettings) -> World:
    """Everything behind the sockets.

    Raises:
        FatalError: a replay without a capture, or a capture that cannot be read.
    """
    options = settings.simulator
    ledger = Ledger(settings.data_dir / "run" / LEDGER_FILE, settings.source)
    backing, wire = _replay(options, ledger) if settings.source == "replay" else _seeded(settings)
    desk = Desk(backing, ledger)
    faults = Faults(backing.symbols)
    hub = Hub(desk, faults, options.tick_ms / 1000)
    gate = Gate(hub.accept, options.host, options.ws_port)
    rest_faults = RestFaults(ledger.injected)
    return World(
        desk=desk,
        wire=wire,
        macro=MacroSource(options.seed, options.fred_dir),
        hub=hub,
        gate=gate,
        rest_faults=rest_faults,
        chaos=Chaos(backing.symbols, faults, rest_faults, hub, gate, wire, desk),
    )


def _seeded(settings: SimulatorSettings) -> tuple[Backing, NewsWire]:
    options = settings.simulator
    origin = origin_of(settings.data_dir / "run", options.origin)
    origin_us = int(origin.timestamp()) // 3600 * 3_600_000_000
    paths = PricePaths(options.seed, origin_us)
    rate = options.trades_per_second
    binance = SeededMarket(paths, options.seed, rate)
    kraken = SeededMarket(
        paths, options.seed, rate * options.kraken_share, instruments=KRAKEN_INSTRUMENTS, venue=KRAKEN_NUMBER
    )
    return MarketBacking(binance, kraken), NewsWire(options.seed, [asset.base for asset in ASSETS], origin_us)


def _replay(options: SimulatorOptions, ledger: Ledger) -> tuple[Backing, NewsWire]:
    if options.capture is None:
        raise FatalError("a replay needs a recording: set CRYPTO_INTEL_SIMULATOR__CAPTURE to its folder")
    backing = RecordingBacking(options.capture, options.speed, ledger.account.position_ns, options.wait_s)
    bases = list(dict.fromkeys(symbol.base for symbol in backing.symbols))
    return backing, NewsWire(options.seed, bases, backing.start_us)


class Simulator:
    """The running simulator; an async context manager. Ports of 0 become those that were free."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._options = settings.simulator
        self._schedule = read_schedule(self._options.faults)
        self.world = build_world(settings)
        self.ws_port = self._options.ws_port
        self.rest_port = self._options.rest_port
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Simulator:
        hub = self.world.hub
        await self.world.gate.open()
        self.ws_port = self.world.gate.port
        self._runner = web.AppRunner(application(self.world), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._options.host, self.rest_port).start()
        self.rest_port = self._runner.addresses[0][1]
        await asyncio.to_thread(self.world.backing.prepare)
        self._tasks = [asyncio.create_task(work) for work in (hub.play(), hub.keep_ledger(), hub.keep_prepared())]
        self._faults = asyncio.create_task(self.world.chaos.run(self._schedule))
        log.info("simulator serves", source=self.world.ledger.account.source, ws=self.ws_port, rest=self.rest_port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in (*self._tasks, self._faults):
            task.cancel()
        await asyncio.gather(*self._tasks, self._faults, return_exceptions=True)
        await self.world.chaos.stop()
        self.world.hub.cut()
        self.world.gate.close()
        await self._runner.cleanup()
        self.world.ledger.write()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; a player that fails ends the process loudly."""
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiting, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
