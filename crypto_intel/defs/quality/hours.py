"""Checks of an hour's tables beside their contracts: ids against the ledger, order, consistency, outside witnesses."""

from crypto_intel.checks.hours import HOUR_CHECKS

hour_checks = [check.definition() for check in HOUR_CHECKS]
