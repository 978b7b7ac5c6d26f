"""The embedded stack behind `crypto-intel up`: real servers on one machine, their supervision, and how it is watched.

What belongs here: finding Java, jars and ports; one module a server; the supervisor; the terminal view; the checks
before a start. What does not: anything that a cluster needs too (settings are in contracts, jobs in streaming).
"""
