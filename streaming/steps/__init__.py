"""What runs in Spark's Python workers: the steps that slices of Kafka go through, and how a slice is read.

Workers are forked from one process that has imported this (worker_daemon.py), so what is imported here is paid for at
each start of the application. Steps know transforms, the sinks that write files, and contracts; neither PySpark nor
the queries that send them here (jobs/).
"""
