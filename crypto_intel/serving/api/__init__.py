"""The REST and WebSocket API under /api/v1: `python -m crypto_intel.serving.api`.

What belongs here: HTTP, who may ask and how much, rendering, live updates. What does not: SQL of reads
(serving/queries). It writes three things alone: what people do with alerts, nothing else.
"""
