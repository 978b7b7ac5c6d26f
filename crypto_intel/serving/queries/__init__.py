"""Every read that API and dashboard make of PostgreSQL: bounded, parameterised, in one place.

What belongs here: functions that return a `Query` (text, parameters, columns). A query never holds a value in its
text and always has a LIMIT or a bounded range. What does not: connections (serving/database.py), HTTP, rendering, and
writes (serving/api/routes/alerts.py, serving/keys.py).
"""
