"""Crypto Intel: market data that a model can trust. See README.md."""
