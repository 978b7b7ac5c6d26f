"""Ports that are taken are replaced, and said."""

from __future__ import annotations

import socket

from crypto_intel.stack.ports import LOOPBACK, answers, choose, free_port, is_free


def test_a_free_port_is_kept() -> None:
    port = free_port()
    assert choose({"kafka": port}) == ({"kafka": port}, [])


def test_a_taken_port_is_replaced_and_said() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        chosen, notes = choose({"kafka": taken})
        assert chosen["kafka"] != taken
        assert is_free(chosen["kafka"])
        assert notes == [f"port {taken} of kafka is taken: using {chosen['kafka']}"]
        assert answers(taken)


def test_two_parts_never_get_one_port() -> None:
    port = free_port()
    chosen, notes = choose({"kafka": port, "postgres": port})
    assert len(set(chosen.values())) == 2
    assert len(notes) == 1
