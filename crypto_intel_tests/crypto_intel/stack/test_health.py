"""The judge of health: patience with a slow part, an end to it with one that keeps dying."""

from __future__ import annotations

from crypto_intel.stack.health import Judge
from crypto_intel.stack.probes import Probe
from crypto_intel.stack.settings import Supervision

RULES = Supervision(unhealthy_after=3, restarts=3, restart_window_s=100)


class Clock:
    """Time that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_part_is_restarted_when_it_has_not_answered_three_times_in_a_row() -> None:
    judge = Judge(RULES)
    assert [judge.answered("spark", False) for _ in range(3)] == ["fine", "fine", "restart"]


def test_an_answer_in_between_forgives() -> None:
    judge = Judge(RULES)
    answers = [False, False, True, False, False]
    assert [judge.answered("spark", answer) for answer in answers] == ["fine"] * 5


def test_a_restarted_part_gets_its_patience_anew() -> None:
    judge = Judge(RULES)
    for _ in range(3):
        judge.answered("spark", False)
    assert judge.answered("spark", False) == "fine"


def test_a_part_that_was_restarted_while_it_started_gets_twice_as_long() -> None:
    judge, probe = Judge(RULES), Probe(kind="tcp", port=1, grace_s=30)
    judge.part("kafka")
    assert [judge.is_due("kafka", probe, uptime_s) for uptime_s in (29, 30)] == [False, True]
    judge.restarted("kafka")
    assert [judge.is_due("kafka", probe, uptime_s) for uptime_s in (30, 59, 60)] == [False, False, True]
    for _ in range(9):
        judge.restarted("kafka")
    assert [judge.is_due("kafka", probe, uptime_s) for uptime_s in (239, 240)] == [False, True]


def test_a_part_that_has_answered_since_its_start_must_go_on_answering() -> None:
    judge, probe = Judge(RULES), Probe(kind="tcp", port=1, grace_s=30)
    judge.restarted("kafka")
    judge.part("kafka").answers = True
    assert judge.is_due("kafka", probe, 5)
    judge.answered("kafka", False)
    assert judge.is_due("kafka", probe, 10)


def test_a_part_that_dies_again_and_again_is_given_up() -> None:
    clock = Clock()
    judge = Judge(RULES, clock)
    verdicts = []
    for clock.now in (0, 40, 90):
        verdicts.append(judge.restarted("spark"))
    assert verdicts == ["fine", "fine", "give up"]
    assert judge.part("spark").given_up


def test_deaths_far_apart_are_not_held_against_a_part() -> None:
    clock = Clock()
    judge = Judge(RULES, clock)
    verdicts = []
    for clock.now in (0, 90, 180, 270):
        verdicts.append(judge.restarted("spark"))
    assert verdicts == ["fine"] * 4
    assert judge.part("spark").restarts == 4
