"""Of the API's load: its markets and its pace. Apart from locust's file, which patches whoever imports it."""

from __future__ import annotations

SYMBOLS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "BNB", "LTC", "DOT", "AVAX")
PER_USER_S = 4.0
"""Requests a second of one reader."""
