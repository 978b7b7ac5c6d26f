"""Entry point of `crypto-intel`; the commands are in crypto_intel.stack.commands and beside it."""

from __future__ import annotations

from crypto_intel.serving.commands import app as keys
from crypto_intel.stack.backfill import app as backfill
from crypto_intel.stack.backfill_fred import fred
from crypto_intel.stack.backfill_gaps import gaps
from crypto_intel.stack.backup import backup, restore
from crypto_intel.stack.commands import app as commands
from crypto_intel.stack.commands import main as app
from crypto_intel.stack.inject import inject
from crypto_intel.stack.rebuild import rebuild
from crypto_intel.stack.record import record
from crypto_intel.stack.rekey import password
from crypto_intel.stack.rules import app as rules
from crypto_intel.stack.trace import trace

commands.command(epilog="`crypto-intel record --venue kraken --out captures/kraken --seconds 600`")(record)
commands.command(epilog="`crypto-intel rebuild ingest`")(rebuild)
commands.command(epilog="`crypto-intel backup /backups/monday` · `crypto-intel backup now --databases-only`")(backup)
commands.command(epilog="`crypto-intel restore /backups/monday --data-dir .demo/restored`")(restore)
commands.command(epilog="`crypto-intel trace price_move:binance:BTC-USDT:1` · `crypto-intel trace ID --json`")(trace)
commands.command(epilog="`crypto-intel password --data-dir .demo/sim`")(password)
commands.command(epilog="`crypto-intel inject gap --symbol BTC-USDT --ids 500`")(inject)
backfill.command(epilog="`crypto-intel backfill fred --from 1980`")(fred)
backfill.command(epilog="`crypto-intel backfill gaps` · `crypto-intel backfill gaps --venue kraken`")(gaps)
commands.add_typer(backfill)
commands.add_typer(keys)
commands.add_typer(rules)

if __name__ == "__main__":
    app()
