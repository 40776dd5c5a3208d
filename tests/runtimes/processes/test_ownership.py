"""Whose a process is, by each piece of evidence alone, and by what goes before what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtimes.processes.ownership import NOBODY, SEVERAL, Family, Seen, owners

NODE, OWN = 100, 9
A = Family("a1", leader=10, start=1000, seal=1, service="a")
B = Family("b1", leader=20, start=2000, seal=2, service="b")
SECOND_A = Family("a2", leader=30, start=3000, seal=3, service="a")
#: Who has nothing to do with this node: init, and somebody's shell.
INIT = Seen(1, 1, 0, 1, 1)
SHELL = Seen(50, 500, 1, 50, 50)
LEADERS = (
    Seen(10, 1000, NODE, 10, 10, seal=1),
    Seen(20, 2000, NODE, 20, 20, seal=2),
    Seen(30, 3000, NODE, 30, 30, seal=3),
)
#: A process of which nothing is known: init's child, in a session of its own.
PLAIN = Seen(60, 5000, 1, 60, 60)


def owner(
    process: Seen, *more: Seen, families: tuple[Family, ...] = (A, B), subreaper: bool = True
) -> str | None:
    seen = {each.pid: each for each in (INIT, SHELL, Seen(NODE, 900, 1, 50, 50), *LEADERS, *more, process)}
    found = owners(seen, families, node=NODE, own_seal=OWN, subreaper=subreaper)
    assert NODE not in found
    return found.get(process.pid)


def test_who_was_started_is_its_family() -> None:
    assert owner(LEADERS[0]) == "a1"
    assert owner(replace(LEADERS[0], seal=0, parent=1)) == "a1"
    assert owner(Seen(10, 4000, 50, 50, 50)) is None, "its number was given to somebody else"


@pytest.mark.parametrize(
    "process",
    [
        replace(PLAIN, seal=1),
        replace(PLAIN, cgroup="a1"),
        replace(PLAIN, named="a1"),
        replace(PLAIN, parent=10),
        replace(PLAIN, session=10),
        replace(PLAIN, log="a"),
    ],
)
def test_each_evidence_alone_is_enough(process: Seen) -> None:
    assert owner(process) == "a1"
    assert owner(process, families=(B,)) in (NOBODY, None), "its family has ended"


def test_who_has_none_is_nobody_of_ours() -> None:
    assert owner(PLAIN) is None
    assert owner(SHELL) is None
    assert owner(INIT) is None
    assert owner(replace(PLAIN, log="c")) == NOBODY, "a log of ours, of which nobody lives"


def test_a_database_whose_children_hide_everything_but_their_parents() -> None:
    """Each leads a session, has overwritten its environment and writes elsewhere."""
    shell, postmaster = Seen(11, 1100, 10, 10, 10), Seen(12, 1200, 11, 12, 12)
    assert owner(replace(PLAIN, parent=12), postmaster, shell) == "a1"


def test_the_seal_goes_before_everything_else() -> None:
    assert owner(replace(PLAIN, seal=2, named="a1", parent=10, session=10, log="a", cgroup="a1")) == "b1"
    assert owner(replace(PLAIN, seal=7, named="a1", parent=10)) == NOBODY


def test_a_family_that_lives_goes_before_one_that_has_ended() -> None:
    assert owner(replace(PLAIN, named="gone", parent=10)) == "a1"
    assert owner(replace(PLAIN, cgroup="gone", log="b")) == "b1"
    assert owner(replace(PLAIN, named="gone")) == NOBODY


def test_a_child_of_a_stray_is_one() -> None:
    assert owner(replace(PLAIN, parent=61), Seen(61, 4000, 1, 61, 61, named="gone")) == NOBODY


def test_a_log_of_several_is_left_alone_until_one_is_left() -> None:
    process = replace(PLAIN, log="a")
    assert owner(process, families=(A, SECOND_A)) == SEVERAL
    assert owner(process, families=(SECOND_A,)) == "a2"


def test_an_orphan_of_nobody_belongs_to_whoever_was_there_before() -> None:
    orphan = replace(PLAIN, parent=NODE, start=1500)
    assert owner(orphan) == "a1"
    assert owner(replace(orphan, start=2500)) == SEVERAL
    assert owner(replace(orphan, start=2500), families=(B,)) == "b1"
    assert owner(replace(orphan, start=500)) == NOBODY, "older than all of them"
    assert owner(orphan, subreaper=False) is None


def test_what_the_node_starts_in_passing_is_not_touched_while_it_descends_from_it() -> None:
    tool = replace(PLAIN, parent=NODE, seal=OWN)
    assert owner(tool) is None
    assert owner(Seen(62, 5100, 60, 60, 60, seal=OWN), tool) is None
    assert owner(replace(tool, parent=1)) == NOBODY, "of an earlier life"


def test_a_circle_of_parents_is_survived() -> None:
    assert owner(replace(PLAIN, parent=63), Seen(63, 1, 60, 63, 63)) is None
    assert owner(replace(PLAIN, parent=63, seal=OWN), Seen(63, 1, 60, 63, 63, seal=OWN)) == NOBODY
