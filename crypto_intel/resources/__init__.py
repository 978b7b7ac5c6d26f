"""What the asset graph talks to: lake, PostgreSQL, Kafka, FRED, Spark. One resource each, bound once in definitions.py.

Settings are read when a resource is used. Every field left empty comes from the environment (settings.py); tests
set the fields instead.
"""
