"""The terminal view is a function of a snapshot; what is unknown shows as a dash and never as 0."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

from rich.console import Console

from crypto_intel.stack.snapshot import Hop, PartView, overall
from crypto_intel.stack.view import as_svg, as_text, duration, one_line, render
from crypto_intel_tests.crypto_intel.stack.samples import snapshot


def test_the_view_looks_as_it_did(golden: Callable[[str, str], None]) -> None:
    golden("stack_view.txt", as_text(snapshot(), "waiting: the source has not ended"))


def test_a_low_terminal_shows_fewer_markets_and_keeps_its_last_lines() -> None:
    tall = snapshot()
    tall.markets *= 10
    console = Console(width=124, file=StringIO(), color_system=None)
    console.print(render(tall, "the note", height=25))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("binance BTC") + shown.count("binance DOGE") == 5
    assert "the note" in shown


def test_a_picture_names_the_simulated_source() -> None:
    assert "SIMULATED" in as_svg(snapshot())


def test_one_line_leaves_out_what_is_unknown() -> None:
    shown = snapshot().model_copy(update={"hops": [Hop(name="a", count=0), Hop(name="b")]})
    assert one_line(shown) == "degraded | 1 of 3 parts well | a 0 | FAILED: producer-binance"


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 3660)] == ["0 s", "59 s", "1 min", "1 h 01 min"]


def test_the_stack_in_one_word() -> None:
    runs = PartView(name="a", state="RUNNING", answers=True)
    starts = PartView(name="b", state="STARTING")
    failed = PartView(name="c", state="FATAL")
    assert overall([runs]) == "running"
    assert overall([runs, starts]) == "starting"
    assert overall([runs, failed]) == "degraded"
    assert overall([PartView(name="a", state="STOPPED")]) == "stopped"
