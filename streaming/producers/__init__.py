"""Producers: one module a source; each maps the venue's wire form to our events and writes them to Kafka.

A source has frozen wire structs, a pure parse, and a client; what they share is here too: settings, the connection
loop, HTTP with retries, the Kafka producer, and the tracking of trade ids.
"""
