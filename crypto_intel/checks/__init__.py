"""Checks: factories from the contracts, the judgement of streams, and what an hour's tables must hold together."""
