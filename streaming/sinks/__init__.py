"""Sinks of the streams; each module states its delivery guarantee first."""
