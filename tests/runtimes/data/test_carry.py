"""How files, links and folders get from one copy into the next, also where that is interrupted."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from runtimes.data import carry as carrying
from runtimes.data.carry import read_carried
from runtimes.data.inventory import author_files, take_inventory
from runtimes.data.removal import remove_tree
from runtimes.data.retention import Copy, populate, retain
from tests.runtimes.data.copies import Packages, read, write


@pytest.mark.parametrize("steps", range(7))
def test_a_carrying_that_was_interrupted_is_done_again(
    packages: Packages, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = packages.hold(packages.prepare("one", {"settings": "a", "main": "1"}))
    write(old.place, {"settings": "program", "db": "accounts", "db-wal": "wal", "media/x": "x"})
    new = packages.prepare("two", {"settings": "b", "main": "2"})
    put, left = carrying.put, steps

    class Killed(BaseException):
        pass

    def put_some(*arguments: Path) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        put(*arguments)

    monkeypatch.setattr(carrying, "put", put_some)
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

    def full(folder: int, name: str, target: Path) -> None:
        nonlocal copied
        target.write_bytes((old.place / name).read_bytes())
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
