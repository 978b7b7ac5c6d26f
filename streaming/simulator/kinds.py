"""The words for faults. Alone here: the command line names them, and needs nothing else of the simulator."""

from typing import Literal

FrameKind = Literal["gap", "malformed", "duplicate", "reorder", "future", "clock_skew"]
RestKind = Literal["rest_error", "rest_slow", "rest_empty"]
FaultKind = Literal[FrameKind, RestKind, "cut", "news_burst"]
CutStyle = Literal["reset", "close", "silence", "handshake", "forced"]
