"""Macro series with their vintages."""
