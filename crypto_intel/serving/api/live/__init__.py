"""Live updates over WebSocket: one hub reads what is new, each client has an outbox of its own bounds.

What is new comes from PostgreSQL: a NOTIFY of its triggers wakes the hub, which reads what changed; where none comes
(a pooler in between) it looks every two seconds. Why not Redis or Kafka: they are optional here, or give the API a
right that it does not need; PostgreSQL is the truth that the REST answers come from, so both always agree. The hub
reads once for all clients, and only while there are any.
"""
