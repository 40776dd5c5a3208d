"""What a program wrote beside its code: found, carried, kept, and given back; whatever happens in between."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from runtimes.data.carry import read_carried
from runtimes.data.inventory import author_files, beside, take_inventory
from runtimes.data.retention import HELD, Copy, populate, retain
from tests.runtimes.data.copies import Packages, read, write

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_program_wrote_goes_with_the_next_revision(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"main.py": "1"}))
    write(old.place, {"db.sqlite3": "accounts", "media/a/b.png": "image"})
    (old.place / "spool").mkdir()
    new = packages.prepare("two", {"main.py": "2"})
    assert populate(packages.kept, new, old)
    assert read(new.place) == {"main.py": "2", "db.sqlite3": "accounts", "media/a/b.png": "image"}
    assert (new.place / "spool").is_dir()
    assert read(old.place) == {"main.py": "1", "db.sqlite3": "accounts", "media/a/b.png": "image"}
    assert not populate(packages.kept, new, old)


def test_what_is_made_again_stays_behind(packages: Packages) -> None:
    built = {".next/page.html": "built", "dist/app.js": "built"}
    old = packages.hold(packages.prepare("one", {"main.js": "1"}, built))
    write(
        old.place,
        {
            "__pycache__/a.pyc": "", "node_modules/.cache/x": "", ".venv/x": "", ".next/cache/x": "",
            ".next/page.html": "rendered", ".pytest_cache/x": "", "dist/app.js": "changed",
            "dist/uploads/photo": "photo",
        },
    )  # fmt: skip
    new = packages.prepare("two", {"main.js": "2"}, {".next/page.html": "new", "dist/app.js": "new"})
    populate(packages.kept, new, old)
    assert read(new.place) == {
        "main.js": "2", ".next/page.html": "new", "dist/app.js": "new", "dist/uploads/photo": "photo",
    }  # fmt: skip
    assert read(packages.kept / "aside") == {"dist/app.js": "changed"}


def test_a_database_that_the_build_made_is_the_programs(packages: Packages) -> None:
    def database(file: Path, value: str) -> None:
        file.parent.mkdir(exist_ok=True)
        with sqlite3.connect(file) as connection:
            connection.execute("create table if not exists t (v)")
            connection.execute("insert into t values (?)", (value,))
        connection.close()

    old = Copy(packages.folder / "one")
    write(old.place, {"main.js": "1"})
    authored = author_files(old.place)
    database(old.place / "data" / "dev.db", "seed")
    take_inventory(old.place, authored)
    packages.hold(old)
    database(old.place / "data" / "dev.db", "account")
    new = Copy(packages.folder / "two")
    write(new.place, {"main.js": "2"})
    database(new.place / "data" / "dev.db", "seed")
    take_inventory(new.place, authored)
    populate(packages.kept, new, old)
    assert (new.place / "data" / "dev.db").read_bytes() == (old.place / "data" / "dev.db").read_bytes()


def test_where_both_changed_a_file_the_authors_lies_beside_until_somebody_settles_it(
    packages: Packages,
) -> None:
    old = packages.hold(packages.prepare("one", {"settings.json": "a", "untouched": "a", "main.py": "1"}))
    write(old.place, {"settings.json": "program", "untouched": "program"})
    two = packages.prepare("two", {"settings.json": "b", "untouched": "a", "main.py": "2"})
    populate(packages.kept, two, old)
    assert read(two.place) == {
        "settings.json": "program", "settings.json.from-package": "b", "untouched": "program", "main.py": "2",
    }  # fmt: skip
    packages.hold(two)
    # It stays unsettled in the revisions after it, with the author's of that day.
    three = packages.prepare("three", {"settings.json": "c", "untouched": "a", "main.py": "3"})
    populate(packages.kept, three, two)
    assert (three.place / "settings.json.from-package").read_text() == "c"
    carried = read_carried(three.place)
    assert carried and carried.conflicts == ("settings.json",)
    (three.place / "settings.json.from-package").unlink()
    packages.hold(three)
    four = packages.prepare("four", {"settings.json": "c", "untouched": "a", "main.py": "4"})
    populate(packages.kept, four, three)
    assert read(four.place) == {"settings.json": "program", "untouched": "program", "main.py": "4"}


def test_what_a_program_removed_comes_back_with_a_change_of_it_only(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"setup.php": "a", "default.json": "a", "main": "1"}))
    (old.place / "setup.php").unlink()
    (old.place / "default.json").unlink()
    new = packages.prepare("two", {"setup.php": "a", "default.json": "b", "main": "2"})
    populate(packages.kept, new, old)
    assert read(new.place) == {"default.json": "b", "main": "2"}


def test_a_rollback_to_a_copy_that_is_still_there_has_the_present_state(packages: Packages) -> None:
    one = packages.hold(packages.prepare("one", {"main": "1"}))
    write(one.place, {"db": "1", "gone": "1"})
    two = packages.prepare("two", {"main": "2"})
    populate(packages.kept, two, one)
    packages.hold(two)
    write(two.place, {"db": "2", "added": "2"})
    (two.place / "gone").unlink()
    assert populate(packages.kept, one, two)
    assert read(one.place) == {"main": "1", "db": "2", "added": "2"}
    assert retain(packages.kept, [two], one) == []


def test_what_an_old_program_wrote_at_last_is_kept(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"db": "early"})
    new = packages.prepare("two", {"main": "2"})
    populate(packages.kept, new, old)
    packages.hold(new)
    write(old.place, {"db": "late!"})
    (told,) = retain(packages.kept, [old], new)
    assert os.fspath(packages.kept / "one") in told
    assert read(packages.kept / "one") == {"db": "late!"}


def test_a_deleted_service_finds_what_it_wrote_when_it_comes_back(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"settings": "a", "main": "1"}))
    write(old.place, {"db": "accounts", "settings": "program"})
    assert retain(packages.kept, [old], old)
    for name in ("one", "two"):
        # In the same code or in other: the old copy is gone.
        again = packages.prepare(f"{name}-again", {"settings": "a", "main": name})
        assert populate(packages.kept, again, None)
        assert read(again.place) == {"settings": "program", "main": name, "db": "accounts"}
        assert not populate(packages.kept, again, None)
    packages.hold(again)
    assert not (packages.kept / "current").exists()
    assert not populate(packages.kept, again, again)


def test_a_node_that_dies_between_keeping_and_forgetting_finds_it_in_the_copy_made_anew(
    packages: Packages,
) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"db": "accounts"})
    retain(packages.kept, [old], old)
    for file in [*old.place.iterdir()]:
        file.unlink()
    beside(old.place, HELD).unlink()
    again = packages.prepare("one", {"main": "1"})
    assert populate(packages.kept, again, again)
    assert read(again.place) == {"main": "1", "db": "accounts"}
    packages.hold(again)
    assert read(again.place) == {"main": "1", "db": "accounts"}


def test_of_a_copy_without_an_inventory_nothing_takes_the_place_of_new_code(packages: Packages) -> None:
    """As 0.3 made them, with a package that has been edited since."""
    old = Copy(packages.folder / "one")
    write(old.place, {"main.py": "1", "db.sqlite3": "accounts", "bundle.js": "old"})
    new = packages.prepare("two", {"main.py": "2"}, {"bundle.js": "new"})
    populate(packages.kept, new, old)
    assert read(new.place) == {"main.py": "2", "bundle.js": "new", "db.sqlite3": "accounts"}
    assert read(packages.kept / "aside") == {"main.py": "1", "bundle.js": "old"}
