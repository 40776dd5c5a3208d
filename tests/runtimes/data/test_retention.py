"""What a program wrote beside its code: found, carried, kept, and given back; whatever happens in between."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtimes.data import carry as carrying
from runtimes.data.carry import read_carried
from runtimes.data.inventory import author_files, beside, take_inventory
from runtimes.data.removal import remove_tree
from runtimes.data.retention import HELD, Copy, populate, retain


@dataclass
class Packages:
    """One service's copies and what is kept for it."""

    folder: Path
    kept: Path

    def prepare(self, name: str, files: dict[str, str], built: dict[str, str] | None = None) -> Copy:
        copy = Copy(self.folder / name)
        write(copy.place, files)
        authored = author_files(copy.place)
        write(copy.place, built or {})
        take_inventory(copy.place, authored)
        return copy

    def hold(self, copy: Copy) -> Copy:
        """It became healthy, and was the last to be swept for."""
        assert retain(self.kept, [], copy) == []
        return copy


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    folder = tmp_path / "packages" / "app"
    folder.mkdir(parents=True)
    return Packages(folder, tmp_path / "kept" / "app")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {
        os.fspath(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


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


@pytest.mark.parametrize("steps", range(7))
def test_a_carrying_that_was_interrupted_is_done_again(
    packages: Packages, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = packages.hold(packages.prepare("one", {"settings": "a", "main": "1"}))
    write(old.place, {"settings": "program", "db": "accounts", "db-wal": "wal", "media/x": "x"})
    new = packages.prepare("two", {"settings": "b", "main": "2"})
    put, left = carrying._put, steps

    class Killed(BaseException):
        pass

    def put_some(*arguments: Path) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        put(*arguments)

    monkeypatch.setattr(carrying, "_put", put_some)
    with_kill = steps < 4
    if with_kill:
        with pytest.raises(Killed):
            populate(packages.kept, new, old)
        monkeypatch.undo()
        assert read_carried(new.place) is None
    populate(packages.kept, new, old)
    assert read(new.place) == {
        "settings": "program", "settings.from-package": "b", "main": "2", "db": "accounts", "db-wal": "wal",
        "media/x": "x",
    }  # fmt: skip


def test_a_full_disk_leaves_the_copy_as_it_was(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    old = packages.hold(packages.prepare("one", {"settings": "a", "main": "1"}))
    write(old.place, {"settings": "program", "db": "accounts", "more": "more"})
    new = packages.prepare("two", {"settings": "b", "main": "2"})

    copied = 0

    def full(source: Path, target: Path) -> None:
        nonlocal copied
        target.write_bytes(source.read_bytes())
        if (copied := copied + 1) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(carrying, "_copy_file", full)
    with pytest.raises(OSError, match="No space"):
        populate(packages.kept, new, old)
    monkeypatch.undo()
    assert read(new.place) == {"settings": "b", "main": "2"}
    populate(packages.kept, new, old)
    assert read(new.place)["settings.from-package"] == "b"
    assert read(new.place)["db"] == "accounts"


def test_links_into_the_old_copy_lead_into_the_new_one(packages: Packages) -> None:
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"real": "x"})
    (old.place / "absolute").symlink_to(old.place / "real")
    (old.place / "outside").symlink_to("/etc/hostname")
    new = packages.prepare("two", {"main": "2"})
    populate(packages.kept, new, old)
    assert os.readlink(new.place / "absolute") == os.fspath(new.place / "real")
    assert os.readlink(new.place / "outside") == "/etc/hostname"


def test_an_authors_link_leads_no_program_out_of_its_copy(packages: Packages, tmp_path: Path) -> None:
    """Where the author put a link in the place of a folder that the program wrote into."""
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"up/x": "x"})
    new = Copy(packages.folder / "two")
    write(new.place, {"main": "2", "elsewhere/y": "y"})
    (new.place / "up").symlink_to("elsewhere")
    take_inventory(new.place, author_files(new.place))
    populate(packages.kept, new, old)
    assert read(new.place / "elsewhere") == {"y": "y"}
    assert read(new.place / "up") == {"x": "x"}
    assert os.readlink(new.place / "up.from-package") == "elsewhere"


def test_of_a_copy_without_an_inventory_nothing_takes_the_place_of_new_code(packages: Packages) -> None:
    """As 0.3 made them, with a package that has been edited since."""
    old = Copy(packages.folder / "one")
    write(old.place, {"main.py": "1", "db.sqlite3": "accounts", "bundle.js": "old"})
    new = packages.prepare("two", {"main.py": "2"}, {"bundle.js": "new"})
    populate(packages.kept, new, old)
    assert read(new.place) == {"main.py": "2", "bundle.js": "new", "db.sqlite3": "accounts"}
    assert read(packages.kept / "aside") == {"main.py": "1", "bundle.js": "old"}


def test_folders_and_files_keep_their_owner_and_rights(packages: Packages) -> None:
    """PostgreSQL wants its folder for itself alone, and as another user than root."""
    old = packages.hold(packages.prepare("one", {"main": "1", "var/.gitkeep": ""}))
    write(old.place, {"pg/base/1": "rows", "var/x": "x"})
    (old.place / "pg/empty").mkdir()
    (old.place / "pg/link").symlink_to("base/1")
    modes = {"pg": 0o700, "pg/base": 0o2750, "pg/empty": 0o711, "pg/base/1": 0o600, "var": 0o770}
    for name, mode in modes.items():
        os.utime(old.place / name, (10**9, 10**9))
        (old.place / name).chmod(mode)
    if os.geteuid() == 0:
        for name in ("pg", "pg/base", "pg/base/1", "pg/link"):
            os.chown(old.place / name, 1, 2, follow_symlinks=False)
    (old.place / "pg").chmod(0o700)
    (old.place / "pg/base").chmod(0o2750)

    def look(folder: Path) -> dict[str, tuple[int, int, int, float]]:
        found = {name: (folder / name).lstat() for name in (*modes, "pg/link")}
        return {
            name: (each.st_mode, each.st_uid, each.st_gid, each.st_mtime if name.startswith("pg/b") else 0)
            for name, each in found.items()
        }

    new = packages.prepare("two", {"main": "2", "var/.gitkeep": ""})
    populate(packages.kept, new, old)
    assert look(new.place) == look(old.place)
    before = look(old.place)
    retain(packages.kept, [new], new)
    again = packages.prepare("three", {"main": "3", "var/.gitkeep": ""})
    populate(packages.kept, again, None)
    assert look(again.place) == before


def test_holes_stay_holes(packages: Packages) -> None:
    """A database that is mapped into memory may be larger than the disk."""
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    with open(old.place / "data.mdb", "wb") as file:
        file.write(b"first")
        file.seek(1 << 40)
        file.write(b"last")
        file.truncate((1 << 40) + (1 << 30))
    new = packages.prepare("two", {"main": "2"})
    populate(packages.kept, new, old)
    with open(new.place / "data.mdb", "rb") as file:
        assert file.read(6) == b"first\0"
        file.seek(1 << 40)
        assert file.read(5) == b"last\0"
    found = (new.place / "data.mdb").stat()
    assert found.st_size == (1 << 40) + (1 << 30) and found.st_blocks * 512 < 1 << 20


def test_read_only_folders_of_a_program_hold_up_nobody() -> None:
    """They hold up their own user; root writes everywhere, and so is somebody else here."""
    folder, user = Path(tempfile.mkdtemp(prefix="atek-")), os.geteuid()
    if user == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        _go_with_read_only_folders(folder)
    finally:
        os.seteuid(user)
        remove_tree(folder)


def _go_with_read_only_folders(folder: Path) -> None:
    packages = Packages(folder / "packages" / "app", folder / "kept" / "app")
    packages.folder.mkdir(parents=True)
    old = packages.hold(packages.prepare("one", {"main": "1"}))
    write(old.place, {"cache/mod/x": "x", "cache/y": "y"})
    for name in ("cache/mod", "cache"):
        (old.place / name).chmod(0o500)
    new = packages.prepare("two", {"main": "2"})
    populate(packages.kept, new, old)
    assert read(new.place) == {"main": "2", "cache/mod/x": "x", "cache/y": "y"}
    packages.hold(new)
    # Back again, and away: twice, so that what was kept gives way to itself.
    populate(packages.kept, old, new)
    for _ in range(2):
        retain(packages.kept, [old], old)
    for copy in (old, new):
        remove_tree(copy.place)
        assert not copy.place.exists()
    again = packages.prepare("three", {"main": "3"})
    populate(packages.kept, again, None)
    assert read(again.place) == {"main": "3", "cache/mod/x": "x", "cache/y": "y"}
    packages.hold(again)
    assert not (packages.kept / "current").exists()


@pytest.mark.parametrize("outside", [False, True])
def test_a_program_may_put_a_file_or_a_link_where_its_author_has_a_folder(
    packages: Packages, tmp_path: Path, outside: bool
) -> None:
    """As those do that move their uploads to another disk, and leave a link."""
    write(tmp_path, {"disk/x": "the disk's"})
    author = {"main": "1", "up/x": "author's", "up/y": "author's"}
    old = packages.hold(packages.prepare("0", author))
    for name in author:
        if name != "main":
            (old.place / name).unlink()
    (old.place / "up").rmdir()
    if outside:
        (old.place / "up").symlink_to(tmp_path / "disk")
    else:
        write(old.place, {"up": "program's"})
    # Each time with the author's folder, which lies beside it and is nobody's data.
    for edition in ("1", "2", "3"):
        new = packages.prepare(edition, {**author, "main": edition})
        assert populate(packages.kept, new, old)
        found = read(new.place)
        assert found.pop("up", "program's") == "program's" and found == {
            "main": edition, "up.from-package/x": "author's", "up.from-package/y": "author's",
        }  # fmt: skip
        assert (new.place / "up").is_symlink() is outside
        assert set(new.written().files) == {"up"}
        old = packages.hold(new)
    assert read(tmp_path / "disk") == {"x": "the disk's"}


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
