"""Ports on loopback: which are wanted, and which are free."""

from __future__ import annotations

import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True when a server could listen on this port of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(avoid: Iterable[int] = ()) -> int:
    """A free port that the system gives, none of `avoid`."""
    taken = set(avoid)
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """True when something accepts a connection there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def choose(wanted: dict[str, int], avoid: Iterable[int] = ()) -> tuple[dict[str, int], list[str]]:
    """Wanted ports by name, each replaced by a free one where it is taken, and a sentence for each replacement.

    Args:
        avoid: count as taken, too.
    """
    chosen: dict[str, int] = {}
    taken = set(avoid)
    notes = []
    for name, port in wanted.items():
        if port not in taken and port not in chosen.values() and is_free(port):
            chosen[name] = port
            continue
        chosen[name] = free_port({*wanted.values(), *chosen.values(), *taken})
        notes.append(f"port {port} of {name} is taken: using {chosen[name]}")
    return chosen, notes
