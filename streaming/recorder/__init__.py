"""Recordings of venues' WebSockets: writing our own form losslessly, reading it and the text forms of others.

Nothing here parses what a venue says. Who plays recordings: streaming/simulator/recording.py.
"""
