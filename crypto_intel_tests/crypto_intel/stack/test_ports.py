"""Ports that are taken are replaced, and said."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from crypto_intel.stack.neighbours import claim
from crypto_intel.stack.ports import LOOPBACK, answers, choose, free_port, is_free
from crypto_intel.stack.state import Folder


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


def test_a_stack_keeps_out_of_ports_that_another_has_chosen_and_not_opened_yet(tmp_path: Path) -> None:
    port, notes = free_port(), tmp_path / "stacks"
    one, other = Folder(tmp_path / "one"), Folder(tmp_path / "other")
    assert claim(one, os.getpid(), {"dagster": port}, notes) == ({"dagster": port}, [])
    assert claim(one, os.getpid(), {"dagster": port}, notes) == ({"dagster": port}, [])  # its own start again
    chosen, said = claim(other, os.getpid(), {"dagster": port}, notes)
    assert chosen["dagster"] != port
    assert said == [f"port {port} of dagster is taken: using {chosen['dagster']}"]


def test_the_ports_of_a_stack_that_is_gone_are_free(tmp_path: Path) -> None:
    port, notes = free_port(), tmp_path / "stacks"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    claim(Folder(tmp_path / "one"), gone.pid, {"dagster": port}, notes)
    assert claim(Folder(tmp_path / "other"), os.getpid(), {"dagster": port}, notes) == ({"dagster": port}, [])
