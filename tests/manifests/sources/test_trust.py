"""What somebody else could write is not obeyed: homes, config files, folders of manifests, single files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.sources import trust
from manifests.sources.folder import FolderSource
from manifests.sources.trust import distrust

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
GOOD = "id: a\ncommand: [sleep, '9']\n"


def why(path: Path) -> str:
    found = distrust(str(path))
    return found.message if found else ""


@pytest.mark.parametrize(("mode", "who"), [
    (0o700, ""), (0o755, ""), (0o750, ""), (0o770, "the group"), (0o775, "the group"), (0o707, "everybody"),
    (0o777, "everybody"), (0o1777, "everybody"),
])  # fmt: skip
def test_modes(tmp_path: Path, mode: int, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_is_private", lambda *_: False)
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(mode)
    assert why(folder).startswith(who) and bool(why(folder)) is bool(who)
    if who:
        assert "chmod g" in str(distrust(str(folder)))


def test_a_group_that_is_ones_own_is_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a clone that was made with umask 002 on Debian."""
    folder = tmp_path / "clone"
    folder.mkdir()
    folder.chmod(0o775)
    monkeypatch.setattr(trust, "_is_private", lambda *_: True)
    assert not why(folder)
    folder.chmod(0o777)
    assert why(folder).startswith("everybody")


def test_roots_group_is_not_its_own() -> None:
    assert not trust._is_private(0, 0)


def test_folders_above_and_links(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    home = open_to_all / "home"
    home.mkdir(parents=True)
    open_to_all.chmod(0o777)
    assert why(home) == f"everybody can write {open_to_all}"
    open_to_all.chmod(0o1777)
    assert not why(home)
    (tmp_path / "link").symlink_to(home)
    assert not why(tmp_path / "link")
    home.chmod(0o777)
    assert why(tmp_path / "link") == f"everybody can write {home}"
    assert not why(tmp_path / "nothing")


@AS_ROOT
def test_other_owners(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 12345)
    assert why(home) == f"{home} belongs to user 12345, and this node runs as root"
    os.chown(home, 0, 0)
    link = tmp_path / "link"
    link.symlink_to(home)
    os.lchown(link, 12345, 12345)
    assert why(link) == f"{link} belongs to user 12345, and this node runs as root"


async def test_a_file_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    source = FolderSource(tmp_path, "m")
    await source.scan()
    assert len(source.snapshot.services) == 1
    file.write_text(GOOD.replace("9", "10"))
    file.chmod(0o666)
    await source.scan()
    (problem,) = source.snapshot.problems
    assert "everybody can write" in problem.message and problem.hint == f"chmod go-w {file}"
    assert source.snapshot.services[0].manifest.command == ("sleep", "9")
    file.chmod(0o644)
    await source.scan()
    assert not source.snapshot.problems
    assert source.snapshot.services[0].manifest.command == ("sleep", "10")


async def test_a_folder_that_others_can_write_keeps_its_services_as_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD)
    source = FolderSource(folder, "m")
    await source.scan()
    folder.chmod(0o777)
    (folder / "b.yaml").write_text(GOOD.replace("id: a", "id: b"))
    await source.scan()
    assert [each.manifest.id for each in source.snapshot.services] == ["a"]
    (problem,) = source.snapshot.problems
    assert problem.message == f"everybody can write {folder}" and "chmod go-w" in problem.hint
    folder.chmod(0o755)
    await source.scan()
    assert len(source.snapshot.services) == 2 and not source.snapshot.problems


async def test_a_single_file_in_a_sticky_folder_is_fine(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "a.yaml").write_text(GOOD)
    source = FolderSource(tmp_path / "a.yaml", "m")
    with anyio.fail_after(60):
        await source.scan()
    assert len(source.snapshot.services) == 1 and not source.snapshot.problems
