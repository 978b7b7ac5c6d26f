"""Pages for those who set what the platform follows: coins, alert rules, keys, retention; and who changed what.

What belongs here: the pages, their login, and the tables as the library wants them. What does not: rules of the data,
which hold in the database whoever writes (bounds, audit, times of change).
"""
