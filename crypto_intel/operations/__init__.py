"""What assets, checks and sensors do with the lake and the stores: read, call the pure functions of core, write, note.

What belongs here: work that several of them share, or that is more than a shell. When it is done is automation's.
"""
