"""Feeds, topics and streaming jobs: what stands before the lake; observed, never run, by Dagster."""
