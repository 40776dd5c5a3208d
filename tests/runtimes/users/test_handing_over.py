"""A folder becomes a service's own; nothing else does, whatever lies in it or comes into it meanwhile."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from runtimes.users import handing_over
from runtimes.users.handing_over import hand_over, is_handed_over
from tests.runtimes.users.conftest import USERS, root_only

pytestmark = root_only
ME, OTHER = USERS.first, USERS.first + 1


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of a service that root has run, beside a file that is none of its business."""
    (tmp_path / "data/deep/er").mkdir(parents=True)
    (tmp_path / "data/deep/er/file").write_text("mine")
    (tmp_path / "shadow").write_text("root's own")
    return tmp_path / "data"


def owner(path: Path) -> int:
    return path.lstat().st_uid


def give(data: Path) -> handing_over.Left:
    return hand_over(data, ME, ME, {0})


def test_all_of_it_is_given_away_and_nobody_else_looks_into_it(data: Path) -> None:
    assert not is_handed_over(data, ME)
    (data / "run").write_text("#!/bin/sh\n")
    (data / "run").chmod(0o6755)
    assert not give(data)
    assert {owner(each) for each in (data, *data.rglob("*"))} == {ME}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    # Nobody becomes the service by running what root had made for everybody.
    assert not (data / "run").stat().st_mode & stat.S_ISUID
    assert is_handed_over(data, ME)


def test_links_are_given_away_and_not_what_they_lead_to(data: Path) -> None:
    (data / "link").symlink_to("../shadow")
    (data / "folder").symlink_to(data.parent)
    give(data)
    assert owner(data / "link") == ME and owner(data.parent / "shadow") == 0
    assert owner(data.parent) == 0
    (data.parent / "other").symlink_to(data)
    with pytest.raises(OSError):
        hand_over(data.parent / "other", ME, ME, {0})


def test_a_file_with_a_name_elsewhere_stays_whose_it_is(data: Path) -> None:
    os.link(data.parent / "shadow", data / "shadow")
    (data / "one").write_text("x")
    os.link(data / "one", data / "deep/two")
    left = give(data)
    assert owner(data.parent / "shadow") == 0
    assert (left.count, left.names) == (1, ("shadow",))
    assert owner(data / "one") == ME


def test_what_is_somebody_elses_stays_theirs(data: Path) -> None:
    (data / "theirs").write_text("x")
    os.chown(data / "theirs", OTHER, OTHER)
    os.mknod(data / "disk", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    left = give(data)
    assert owner(data / "theirs") == OTHER and owner(data / "disk") == 0
    assert left.count == 2 and "2 of its files stay somebody else's" in str(left)


@pytest.mark.parametrize("after", range(4))
def test_a_crash_in_the_middle_costs_nothing(data: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    give_one, done = handing_over._give, 0

    def killed(*args: object) -> bool:
        nonlocal done
        if (done := done + 1) > after:
            raise KeyboardInterrupt
        return give_one(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(handing_over, "_give", killed)
    if after < 3:
        with pytest.raises(KeyboardInterrupt):
            give(data)
        assert not is_handed_over(data, ME)
    monkeypatch.undo()
    give(data)
    assert {owner(each) for each in (data, *data.rglob("*"))} == {ME}


def _race(data: Path) -> set[int]:
    """Who owns root's file after 300 attempts to have it given away, by links that come and go."""
    target, place = data.parent / "shadow", data / "deep/er/file"
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            for make in (place.symlink_to, place.hardlink_to):
                place.unlink(missing_ok=True)
                make(target)
                place.unlink()
                place.write_text("mine")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        owners = set()
        for _ in range(300):
            give(data)
            owners.add(owner(target))
            os.chown(target, 0, 0)
        return owners
    finally:
        ended.set()
        thread.join()


def test_a_race_against_links_is_lost_by_whoever_runs_it(data: Path) -> None:
    assert _race(data) == {0}


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_without_the_guard_what_a_link_leads_to_is_given_away(
    data: Path, make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_name(parent: int, name: str, uid: int, gid: int, *_: object) -> bool:
        os.chown(name, uid, gid, dir_fd=parent)
        return True

    make(data / "planted", data.parent / "shadow")  # type: ignore[operator]
    give(data)
    assert owner(data.parent / "shadow") == 0
    os.chown(data / "planted", 0, 0, follow_symlinks=False)
    monkeypatch.setattr(handing_over, "_give", by_name)
    give(data)
    assert owner(data.parent / "shadow") == ME
