"""A watched folder, with everything that people and editors do to one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import anyio
import pytest

from manifests.model.merge import merge
from manifests.sources import folder as module
from manifests.sources.folder import REMOVAL, FolderSource
from tests.manifests.sops.sealed import sealed
from tests.manifests.sources.folders import age, find, ids, manifest, problems, watching, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    return tmp_path / "manifests"


async def test_reads_manifests_in_the_order_of_names_and_ignores_what_editors_leave(folder: Path) -> None:
    for number, name in enumerate(["c.json", "b.toml", "a.yaml", "d.yml"]):
        text = {".json": '{"id":"%s","source":"."}', ".toml": "id='%s'\nsource='.'"}.get(
            os.path.splitext(name)[1], "id: %s\nsource: ."
        )
        write(folder / name, text % f"s{number}")
    for name in (
        ".a.yaml.swp",
        ".hidden.yaml",
        "a.yaml~",
        "#a.yaml#",
        "x.tmp",
        "README.md",
        "~a.yaml",
        "4913",
    ):
        write(folder / name, manifest("ignored"))
    (folder / "deeper.yaml").mkdir()
    (folder / "deeper").mkdir()
    write(folder / "deeper" / "e.yaml", manifest("ignored"))
    os.mkfifo(folder / "pipe.yaml")
    source = FolderSource(folder, "home")
    assert not source.snapshot.known
    await source.scan()
    assert source.snapshot.known
    assert ids(source.snapshot) == ["s2", "s1", "s0", "s3"]
    assert source.snapshot.problems == ()
    assert find(source.snapshot, "s2").base == str(folder)
    assert find(source.snapshot, "s2").file == str(folder / "a.yaml")


async def test_an_empty_folder_is_known_once_it_was_read(folder: Path) -> None:
    source = FolderSource(folder, "home")
    assert not source.snapshot.known
    await source.scan()
    assert source.snapshot.known


async def test_a_change_is_seen_at_once_and_others_keep_their_objects(folder: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b") + "---\n" + manifest("c"))
    async with watching(FolderSource(folder, "home")) as watched:
        before = watched.snapshot
        (folder / "b.yaml").write_text(manifest("b") + "---\n" + manifest("c", N=1))
        after = await watched.until(lambda snapshot: find(snapshot, "c").manifest.env == {"N": "1"})
        assert find(after, "a") is find(before, "a")
        assert find(after, "b") is find(before, "b")
        assert after.revision != before.revision
        assert watched.changes == 1


async def test_a_file_written_with_the_same_content_is_no_change(folder: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home")) as watched:
        before = watched.snapshot
        (folder / "a.yaml").write_text(manifest("a"))
        (folder / "b.yaml").write_text(manifest("b"))
        after = await watched.until(lambda snapshot: len(snapshot.services) == 2)
        assert find(after, "a") is before.services[0]
        assert watched.changes == 1


async def test_two_writes_of_the_same_size_within_a_moment(folder: Path) -> None:
    """Their signatures can be equal: inode, size, and a time that moves in steps of milliseconds."""
    path = write(folder / "a.yaml", manifest("a", N=0))
    async with watching(FolderSource(folder, "home")) as watched:
        for number in range(1, 10):
            path.write_text(manifest("a", N=number))
            os.utime(path, (1, 1))
            expected = {"N": str(number)}
            await watched.until(lambda snapshot, env=expected: snapshot.services[0].manifest.env == env)  # type: ignore[misc]


async def test_a_file_made_just_before_the_watch_begins_is_found(folder: Path) -> None:
    source = FolderSource(folder, "home")
    await source.scan()
    (folder / "a.yaml").write_text(manifest("a"))
    age(folder / "a.yaml")
    async with anyio.create_task_group() as tasks:
        seen = anyio.Event()
        tasks.start_soon(source.watch, seen.set)
        with anyio.fail_after(5):
            await seen.wait()
        assert ids(source.snapshot) == ["a"]
        tasks.cancel_scope.cancel()


async def test_a_file_being_written_in_place_is_not_taken_half(folder: Path) -> None:
    path = write(folder / "a.yaml", manifest("a") + "---\n" + manifest("b"))
    async with watching(FolderSource(folder, "home")) as watched:
        with path.open("w") as file:
            file.write(manifest("a"))
            file.flush()
            await watched.source.scan()
            assert ids(watched.snapshot) == ["a", "b"]
            file.write("---\n" + manifest("c"))
        await watched.until(lambda snapshot: ids(snapshot) == ["a", "c"])
        assert watched.changes == 1


async def test_a_scan_without_a_watch_waits_for_a_fresh_file_to_settle(folder: Path) -> None:
    (folder / "a.yaml").write_text(manifest("a"))
    source = FolderSource(folder, "home")
    await source.scan()
    assert ids(source.snapshot) == ["a"]


@pytest.mark.parametrize("how", ["rename", "backup", "delete"])
async def test_an_editor_replaces_a_file(folder: Path, how: str) -> None:
    """vim and others move the old file away, or delete it, a moment before the new one is there."""
    path = write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home")) as watched:
        for number in range(3):
            if how == "rename":
                (folder / ".a.yaml.new").write_text(manifest("a", N=number))
                os.replace(folder / ".a.yaml.new", path)
            else:
                os.rename(path, folder / "a.yaml~") if how == "backup" else path.unlink()
                await watched.stays(lambda snapshot: ids(snapshot) == ["a"], REMOVAL / 4)
                path.write_text(manifest("a", N=number))
            env = {"N": str(number)}
            await watched.until(lambda snapshot, env=env: find(snapshot, "a").manifest.env == env)  # type: ignore[misc]
        await watched.stays(lambda snapshot: ids(snapshot) == ["a"], REMOVAL * 2)


async def test_a_file_that_is_away_for_a_second_was_never_away(folder: Path) -> None:
    path = write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home")) as watched:
        before = find(watched.snapshot, "a")
        path.rename(folder / "a.away")
        await watched.stays(lambda snapshot: find(snapshot, "a") is before, 1.0)
        (folder / "a.away").rename(path)
        await watched.stays(lambda snapshot: find(snapshot, "a") is before, REMOVAL * 1.5)
        assert watched.changes == 0


async def test_a_renamed_file_is_no_second_declaration_for_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMOVAL", 1000.0)
    path, new = write(folder / "a.yaml", manifest("a")), folder / "b.yaml"
    async with watching(FolderSource(folder, "home")) as watched:
        path.rename(new)
        await watched.until(lambda snapshot: [each.file for each in snapshot.services] == [str(new)])


async def test_deleting_a_file_removes_its_services(folder: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    async with watching(FolderSource(folder, "home")) as watched:
        (folder / "a.yaml").unlink()
        await watched.until(lambda snapshot: ids(snapshot) == ["b"])
        (folder / "b.yaml").unlink()
        after = await watched.until(lambda snapshot: ids(snapshot) == [])
        assert after.known and after.problems == ()


@pytest.mark.parametrize("broken", ["", "id: [", "id: a\nsorce: x", "\x00\x00\x00", "# only a remark"])
async def test_a_broken_file_keeps_its_last_good_services_and_takes_no_other_down(
    folder: Path, broken: str
) -> None:
    write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home")) as watched:
        before = watched.snapshot
        (folder / "a.yaml").write_text(broken)
        (folder / "b.yaml").write_text(manifest("b"))
        after = await watched.until(
            lambda snapshot: ids(snapshot) == ["a", "b"] and len(snapshot.problems) == 1
        )
        assert find(after, "a") is find(before, "a")
        assert str(folder / "a.yaml") in problems(after)
        (folder / "a.yaml").write_text(manifest("a", N=1))
        await watched.until(lambda snapshot: not snapshot.problems)
        assert find(watched.snapshot, "a").manifest.env == {"N": "1"}


async def test_text_that_is_not_utf8_or_too_large(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"id: a\nsource: \xff")
    (folder / "b.yaml").write_bytes(b"#" * (1 << 20) + b"\n")
    age(folder / "a.yaml")
    age(folder / "b.yaml")
    source = FolderSource(folder, "home")
    await source.scan()
    assert "a.yaml:2: the text is not UTF-8" in problems(source.snapshot)
    assert "b.yaml: the file is larger than 1 MiB" in problems(source.snapshot)


async def test_an_unreadable_file_is_told_and_read_once_it_can_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, because root may read everything."""
    path = write(folder / "a.yaml", manifest("a"))
    really_open = os.open

    def refuse(file: str, *arguments: int) -> int:
        if os.fspath(file) == str(path):
            raise PermissionError(13, "Permission denied")
        return really_open(file, *arguments)

    async with watching(FolderSource(folder, "home")) as watched:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            path.write_text(manifest("a", N=1))
            path.chmod(0o000)
            after = await watched.until(
                lambda snapshot: "it cannot be read: Permission denied" in problems(snapshot)
            )
            assert ids(after) == ["a"]
        path.chmod(0o600)
        await watched.until(lambda snapshot: not snapshot.problems)
        assert find(watched.snapshot, "a").manifest.env == {"N": "1"}


async def test_a_file_that_vanishes_between_listing_and_opening(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    really_open = os.open

    def vanish(file: str, *arguments: int) -> int:
        if os.fspath(file) == str(path):
            path.unlink(missing_ok=True)
        return really_open(file, *arguments)

    monkeypatch.setattr(os, "open", vanish)
    source = FolderSource(folder, "home")
    await source.scan()
    assert ids(source.snapshot) == ["b"]
    assert source.snapshot.problems == ()


async def test_a_folder_that_disappears_and_returns(folder: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    async with watching(FolderSource(folder, "home")) as watched:
        before = watched.snapshot
        for _ in range(2):
            away = folder.rename(folder.with_name("away"))
            after = await watched.until(lambda snapshot: f"folder {folder} is gone" in problems(snapshot))
            assert list(after.services) == list(before.services) and after.known
            away.rename(folder)
            after = await watched.until(lambda snapshot: not snapshot.problems)
            assert all(one is two for one, two in zip(after.services, before.services, strict=True))
        (folder / "b.yaml").write_text(manifest("b", N=1))
        await watched.until(lambda snapshot: find(snapshot, "b").manifest.env == {"N": "1"})


async def test_a_folder_that_is_deleted_and_made_again(folder: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    async with watching(FolderSource(folder, "home")) as watched:
        shutil.rmtree(folder)
        await watched.until(lambda snapshot: "is gone" in problems(snapshot))
        assert ids(watched.snapshot) == ["a"]
        folder.mkdir()
        await watched.until(lambda snapshot: not snapshot.problems)
        # Whoever made it again still copies the files.
        await watched.stays(lambda snapshot: ids(snapshot) == ["a"], 0.5)
        (folder / "a.yaml").write_text(manifest("a", N=1))
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "1"})


async def test_a_folder_that_was_never_there(tmp_path: Path) -> None:
    async with watching(FolderSource(tmp_path / "later", "home")) as watched:
        assert not watched.snapshot.known
        assert f"folder {tmp_path / 'later'} is gone" in problems(watched.snapshot)
        assert not merge([watched.snapshot]).complete
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "a.yaml").write_text(manifest("a"))
        after = await watched.until(lambda snapshot: ids(snapshot) == ["a"])
        assert after.known and not after.problems


async def test_a_folder_that_is_replaced_by_another(folder: Path) -> None:
    write(folder / "a.yaml", manifest("a"))
    other = folder.with_name("other")
    other.mkdir()
    write(other / "a.yaml", manifest("a", N=1))
    async with watching(FolderSource(folder, "home")) as watched:
        folder.rename(folder.with_name("away"))
        other.rename(folder)
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "1"})
        (folder / "a.yaml").write_text(manifest("a", N=2))
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "2"})


async def test_a_single_file(folder: Path) -> None:
    path = write(folder / "a.yaml", manifest("a"))
    write(folder / "b.yaml", manifest("b"))
    async with watching(FolderSource(path, "file")) as watched:
        assert ids(watched.snapshot) == ["a"]
        (folder / "c.yaml").write_text(manifest("c"))
        path.write_text(manifest("a", N=1))
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "1"})
        assert ids(watched.snapshot) == ["a"]
        path.unlink()
        after = await watched.until(lambda snapshot: ids(snapshot) == [])
        assert f"there is no file {path}" in problems(after) and after.known


async def test_a_single_file_that_does_not_exist(folder: Path) -> None:
    async with watching(FolderSource(folder / "a.yaml", "file")) as watched:
        assert not watched.snapshot.known
        (folder / "a.yaml").write_text(manifest("a"))
        after = await watched.until(lambda snapshot: ids(snapshot) == ["a"])
        assert after.known and not after.problems


async def test_links_are_followed_to_where_they_change(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = write(tmp_path / "dotfiles" / "one.yaml", manifest("a"))
    (folder / "a.yaml").symlink_to(target)
    async with watching(FolderSource(folder, "home")) as watched:
        assert find(watched.snapshot, "a").base == str(folder)
        target.write_text(manifest("a", N=1))
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "1"})
        target.unlink()
        after = await watched.until(
            lambda snapshot: "a link to a file that does not exist" in problems(snapshot)
        )
        assert ids(after) == ["a"]
        write(target, manifest("b"))
        (folder / "b.yaml").symlink_to(target)
        await watched.until(lambda snapshot: "b" in ids(snapshot))


async def test_a_kubernetes_config_map_swaps_all_files_at_once(folder: Path) -> None:
    for version in ("1", "2"):
        (folder / f"..v{version}").mkdir()
        write(folder / f"..v{version}" / "a.yaml", manifest("a", N=version))
    (folder / "..data").symlink_to("..v1")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    async with watching(FolderSource(folder, "home")) as watched:
        (folder / "..data_tmp").symlink_to("..v2")
        os.replace(folder / "..data_tmp", folder / "..data")
        await watched.until(lambda snapshot: find(snapshot, "a").manifest.env == {"N": "2"})


async def test_files_of_secrets_are_no_manifests(folder: Path) -> None:
    """Neither one that is encrypted, nor a plain one that a service names; others are broken manifests."""
    write(folder / "sealed.yaml", sealed("yaml", "a: secret\n").decode())
    write(folder / "plain.yaml", "a: secret\n")
    write(folder / "app.yaml", "id: app\ncommand: [x]\nsecrets: {A: {file: ./plain.yaml, key: a}}\n")
    source = FolderSource(folder, "home")
    await source.scan()

    assert (ids(source.snapshot), source.snapshot.problems) == (["app"], ())
    write(folder / "app.yaml", "id: app\ncommand: [x]\n")
    await source.scan()
    assert {each.file for each in source.snapshot.problems} == {str(folder / "plain.yaml")}
