"""One module a streaming query: source, transforms, sink, checkpoint. `python -m streaming.jobs` runs them all.

Thin shells: what a query computes is in transforms, what it promises on writing is in sinks.
"""
