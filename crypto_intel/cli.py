"""Entry point of `crypto-intel`; the commands are in crypto_intel.stack.commands."""

from __future__ import annotations

from crypto_intel.stack.commands import main as app

if __name__ == "__main__":
    app()
