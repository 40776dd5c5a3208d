"""What was refused is told once in a while, and not without end."""

from __future__ import annotations

from runtimes.network.refusals import MOST, WHILE, Refusals


def test_the_same_is_told_once_in_a_while() -> None:
    told: list[tuple[str, str]] = []
    now = [0.0]
    refusals = Refusals(lambda *what: told.append(what), lambda: now[0])
    for _ in range(3):
        refusals.add("a", "x")
        refusals.add("b", "x")
    assert told == [("a", "x"), ("b", "x")]
    now[0] = WHILE
    refusals.add("a", "x")
    assert told[2:] == [("a", "x")]
    assert refusals.count == {"a": 4, "b": 3}


def test_a_program_that_tries_everything_fills_no_log() -> None:
    told: list[str] = []
    refusals = Refusals(lambda _, sentence: told.append(sentence), lambda: 0.0)
    for number in range(10 * MOST):
        refusals.add("a", str(number))
    refusals.add("b", "x")
    assert len(told) == MOST + 1
    assert refusals.count["a"] == 10 * MOST
