"""Contracts: the one place where events, tables, symbols, clocks and settings' shapes are stated.

Imported by everything, imports nothing of ours, and needs neither dagster nor pyspark.
"""
