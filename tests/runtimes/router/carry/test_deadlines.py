"""Time-outs of one length: due in the order in which they began, on a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.carry import deadlines
from runtimes.router.carry.deadlines import Deadlines


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(deadlines, "monotonic", made)
    return made


def test_what_is_due_expires_once_and_in_order(clock: Clock) -> None:
    expired: list[str] = []
    waiting = Deadlines[str](10.0, expired.append)
    waiting.add("a")
    clock.now += 5
    waiting.add("b")
    clock.now += 4.9
    waiting.sweep()
    assert expired == []
    clock.now += 0.2
    waiting.sweep()
    waiting.sweep()
    assert (expired, len(waiting)) == (["a"], 1)
    clock.now += 100
    waiting.sweep()
    assert (expired, len(waiting)) == (["a", "b"], 0)


def test_adding_begins_anew_and_starting_does_not(clock: Clock) -> None:
    expired: list[str] = []
    waiting = Deadlines[str](10.0, expired.append)
    waiting.add("anew")
    waiting.start("once")
    clock.now += 6
    waiting.add("anew")
    waiting.start("once")
    clock.now += 6
    waiting.sweep()
    assert expired == ["once"]


def test_what_is_dropped_does_not_expire(clock: Clock) -> None:
    waiting = Deadlines[str](10.0, lambda item: pytest.fail(item))
    waiting.add("a")
    waiting.drop("a")
    waiting.drop("never there")
    clock.now += 100
    waiting.sweep()


def test_whoever_expires_may_begin_anew_or_end_others(clock: Clock) -> None:
    expired: list[str] = []

    def expire(item: str) -> None:
        expired.append(item)
        waiting.add(item)
        waiting.drop("b")

    waiting = Deadlines[str](10.0, expire)
    for item in "abc":
        waiting.add(item)
    clock.now += 10
    waiting.sweep()
    assert expired == ["a", "c"]
    clock.now += 10
    waiting.sweep()
    assert expired == ["a", "c", "a", "c"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "start", "drop", "sweep"]), st.integers(0, 4), st.integers(0, 7))
    )
)
def test_it_does_what_a_table_of_ends_would(steps: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(deadlines, "monotonic", clock)
        expired: list[int] = []
        waiting = Deadlines[int](10.0, expired.append)
        ends: dict[int, float] = {}
        for what, item, passing in steps:
            clock.now += passing
            expired.clear()
            if what == "sweep":
                waiting.sweep()
                due = {each for each, end in ends.items() if end <= clock.now}
                assert sorted(expired) == sorted(due)
                ends = {each: end for each, end in ends.items() if each not in due}
            elif what == "drop":
                waiting.drop(item)
                ends.pop(item, None)
            else:
                (waiting.add if what == "add" else waiting.start)(item)
                if what == "add" or item not in ends:
                    ends[item] = clock.now + 10.0
            assert len(waiting) == len(ends)
