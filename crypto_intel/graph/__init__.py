"""Dagster's words for the contracts: keys, partitions, owners, column schemas, column lineage, what a run reports."""
