"""What was refused is told once in a while, and not without end."""

from __future__ import annotations

from collections import Counter

from runtimes.network.refusals import MOST, WHILE, Refusals
from runtimes.network.rules import Refusal

REFUSAL = Refusal("h.example", 443, "is not in its egress")


def test_the_same_is_told_once_in_a_while() -> None:
    counted: list[str] = []
    told: list[tuple[str, Refusal]] = []
    now = [0.0]
    refusals = Refusals(lambda *what: told.append(what), counted.append, lambda: now[0])
    for _ in range(3):
        refusals.add("a", REFUSAL)
        refusals.add("b", REFUSAL)
    assert told == [("a", REFUSAL), ("b", REFUSAL)]
    now[0] = WHILE
    refusals.add("a", REFUSAL)
    assert told[2:] == [("a", REFUSAL)]
    assert Counter(counted) == {"a": 4, "b": 3}


def test_a_program_that_tries_everything_fills_no_log() -> None:
    counted: list[str] = []
    told: list[Refusal] = []
    refusals = Refusals(lambda _, refusal: told.append(refusal), counted.append, lambda: 0.0)
    for number in range(10 * MOST):
        refusals.add("a", Refusal("h.example", number, "x"))
    refusals.add("b", REFUSAL)
    assert len(told) == MOST + 1
    assert counted.count("a") == 10 * MOST
