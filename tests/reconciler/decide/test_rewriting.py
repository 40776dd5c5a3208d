"""A program that writes into its own package: a few revisions, then none until its author edits something."""

from __future__ import annotations

import pytest

from manifests.model.manifest import Manifest
from manifests.model.service import Package, Service, make_service
from reconciler.decide.rewriting import Habit, Look, Rewriting, as_fetched, judge


def look(files: dict[str, str], generation: int = 0) -> Look:
    """Files by name; what begins with `x` can be executed."""
    found = {name: text.encode() for name, text in files.items()}
    return Look(repr(sorted(found.items())), found, generation)


def revisions(looks: list[Look], pause: float, habit: Habit | None = None) -> tuple[int, Habit]:
    """How many of them were taken, and what became of it."""
    count, now = 0, 0.0
    for each in looks:
        before, habit = habit, judge(habit, each, now)
        count += before is None or habit.taken is not before.taken
        now += pause
    assert habit is not None
    return count, habit


RUN = {"run.sh": "x1"}


@pytest.mark.parametrize("pause", [0.12, 300.0])
def test_a_pid_file_is_taken_for_an_edit_a_few_times_only(pause: float) -> None:
    looks = [look(RUN), *(look({**RUN, "pid": f"f{number}"}) for number in range(200))]
    count, habit = revisions(looks, pause)
    assert count == 3
    verdict = habit.note("p")
    assert verdict and verdict.reason == "RewritesItself"
    assert "pid" in verdict.message and "ATEK_DATA_DIR" in verdict.message and "inPlace" in verdict.message


def test_so_is_what_gets_a_new_name_each_time() -> None:
    looks = [look({**RUN, **{f"log_{number}": "f" for number in range(count)}}) for count in range(50)]
    assert revisions(looks, 0.12)[0] == 3


@pytest.mark.parametrize("edit", [{"run.sh": "x2"}, {"lib.rb": "f1"}, {"tool": "x1"}, {"app.conf": "f1"}])
def test_an_edit_of_the_author_is_taken_among_all_that(edit: dict[str, str]) -> None:
    _, habit = revisions([look(RUN), *(look({**RUN, "pid": f"f{number}"}) for number in range(20))], 0.12)
    edited = {**RUN, "pid": "f19", **edit}
    count, habit = revisions([look(edited)], 0.0, habit)
    assert count == 1 and habit.held == ()
    # What the program writes then is known already.
    count, _ = revisions([look({**edited, "pid": f"f-{number}"}) for number in range(20)], 0.12, habit)
    assert count == 0


def test_a_file_that_was_there_and_changes_once_is_taken() -> None:
    first = look({**RUN, "text.md": "f1"})
    _, habit = revisions([first, *(look({**RUN, "text.md": "f1", "pid": f"f{n}"}) for n in range(20))], 0.12)
    count, _ = revisions([look({**RUN, "text.md": "f2", "pid": "f19"})], 0.0, habit)
    assert count == 1


def test_a_restart_takes_everything() -> None:
    _, habit = revisions([look(RUN), *(look({**RUN, "pid": f"f{number}"}) for number in range(20))], 0.12)
    again = look({**RUN, "pid": "f19"}, 1)
    assert judge(habit, again, 5.0).taken is again


def test_an_author_who_edits_all_day_is_followed() -> None:
    looks = [look({"run.sh": f"x{number}"}) for number in range(100)]
    assert revisions(looks, 7.0)[0] == 100


def test_program_text_that_changes_faster_than_anybody_types_has_to_wait_a_minute() -> None:
    looks = [look({"page.html": f"f{number}"}) for number in range(100)]
    count, habit = revisions(looks, 0.12)
    assert count == 11
    verdict = habit.note("p")
    assert verdict and "page.html" in verdict.message
    now = judge(habit, look({"page.html": "f99"}), 75.0)
    assert now.taken.files == {"page.html": b"f99"} and now.note("p") is None


def test_what_runs_keeps_its_revision() -> None:
    manifest = Manifest.model_validate({"id": "p", "source": "/p", "runtime": "process", "command": ["run"]})
    rewriting = Rewriting()

    def seen(number: int, runtime: str = "process") -> str:
        package = Package("/p", f"{number:016}")
        of = make_service(manifest, runtime=runtime, package=package, source="test")
        return rewriting.taken(of, {"pid": b"f%d" % number}, number / 8).revision

    assert len({seen(number) for number in range(50)}) == 3
    assert rewriting.note("p")
    rewriting.keep(["other"])
    assert rewriting.note("p") is None
    # What runs in a copy of its package writes there.
    assert len({seen(number, "node") for number in range(50)}) == 50


def test_a_commit_is_what_it_was_whatever_was_written_in_it() -> None:
    manifest = Manifest.model_validate({"id": "p", "source": "/c", "command": ["run"]})

    def of(runtime: str, package: Package) -> Service:
        return make_service(manifest, runtime=runtime, package=package, source="test")

    before, other = Package("/c", "a" * 16), Package("/d", "c" * 16)
    seen = of("process", Package("/c", "b" * 16))
    assert as_fetched(seen, [other, before]) == of("process", before)
    assert as_fetched(seen, [other]) is seen
    # These never ran there.
    assert as_fetched(node := of("node", Package("/c", "b" * 16)), [before]) is node
