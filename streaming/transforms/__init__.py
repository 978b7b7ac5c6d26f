"""Pure transforms, used by streams and by batch alike: frames in, frames out, no I/O and no sessions.

decode.py and bar_news.py speak Spark's DataFrames; intervals.py, bars.py, market.py and live.py are plain Python and
Polars, and run inside Spark's stateful operator, inside Dagster's batch, and in tests without either.
"""
