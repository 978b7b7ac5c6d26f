"""The typed Python client of the API: answers as Polars frames, pages followed, live updates found again after a cut.

    from crypto_intel.client import CryptoIntel

    with CryptoIntel() as api:  # http://127.0.0.1:8000; CryptoIntel(url, key="ci_...") elsewhere
        bars = api.bars("BTC-USDT", interval="5m", start="2026-11-20")

What belongs here: what a notebook or a service needs to read the API. It imports nothing of the platform's servers.
"""

from crypto_intel.client.client import AsyncCryptoIntel, CryptoIntel
from crypto_intel.client.live import Update, follow
from crypto_intel.client.requests import ApiError

__all__ = ["ApiError", "AsyncCryptoIntel", "CryptoIntel", "Update", "follow"]
