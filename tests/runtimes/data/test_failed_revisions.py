"""What a revision wrote that never became healthy changes nothing, and is in nobody's way."""

from __future__ import annotations

from runtimes.data.retention import populate
from tests.runtimes.data.copies import Packages, read, write


def test_a_failed_revision_changes_nothing_and_starts_anew_with_what_is_there_then(
    packages: Packages,
) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"db": "accounts"})
    bad = packages.prepare("two", {"main": "2"})
    populate(packages.kept, bad, old)
    write(bad.place, {"db": "migrated", "new": "half"})
    # It crashes and starts again: its own goes on.
    assert not populate(packages.kept, bad, old)
    assert (bad.place / "db").read_text() == "migrated"
    # The old one serves meanwhile, and a person tries again.
    assert read(old.place) == {"main": "1", "db": "accounts"}
    write(old.place, {"db": "more accounts"})
    assert populate(packages.kept, bad, old)
    assert read(bad.place) == {"main": "2", "db": "more accounts"}
    assert read(packages.kept / "failed") == {"db": "migrated", "new": "half"}


def test_a_failed_revision_starts_anew_also_where_the_old_one_only_read_meanwhile(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"db": "accounts"})
    bad = packages.prepare("two", {"main": "2"})
    populate(packages.kept, bad, old)
    write(bad.place, {"db": "emptied"})
    assert not populate(packages.kept, bad, old)
    assert not populate(packages.kept, old, old)
    assert populate(packages.kept, bad, old)
    assert read(bad.place) == {"main": "2", "db": "accounts"}
    assert read(packages.kept / "failed") == {"db": "emptied"}


def test_a_folder_of_a_failed_revision_is_in_nobodys_way(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1", "state": "author's", "theirs/x": "x"}))
    write(old.place, {"state": "program's"})
    bad = packages.prepare("two", {"main": "2", "state": "author's", "theirs/x": "x"})
    populate(packages.kept, bad, old)
    (bad.place / "state").unlink()
    write(bad.place, {"state/deep/er": "failed's", "theirs/y": "failed's"})
    populate(packages.kept, old, old)
    assert populate(packages.kept, bad, old)
    assert read(bad.place) == {"main": "2", "state": "program's", "theirs/x": "x"}
    assert read(packages.kept / "failed") == {"state/deep/er": "failed's", "theirs/y": "failed's"}


def test_what_a_failed_revision_made_of_its_authors_file_is_in_nobodys_way(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"up/x": "program's"})
    bad = packages.prepare("two", {"main": "2"})
    populate(packages.kept, bad, old)
    worse = packages.prepare("three", {"main": "3", "up": "author's"})
    populate(packages.kept, worse, old)
    for file in (worse.place / "up/x", worse.place / "up.from-package"):
        file.unlink()
    (worse.place / "up").rmdir()
    write(worse.place, {"up": "failed's"})
    populate(packages.kept, old, old)
    assert populate(packages.kept, worse, old)
    assert read(worse.place) == {"main": "3", "up/x": "program's"}
    assert read(packages.kept / "failed") == {"up": "failed's"}
