"""Alerts as they were raised."""
