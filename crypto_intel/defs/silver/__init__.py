"""Bars and joins as they streamed, and trades by hour with one row per trade id."""
