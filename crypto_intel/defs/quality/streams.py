"""Checks of streamed tables and of freshness: a sensor judges them every minute, without a run."""

from crypto_intel.checks.streams import STREAM_CHECKS

stream_checks = [check.definition() for check in STREAM_CHECKS]
