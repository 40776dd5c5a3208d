"""What is hidden from a sandboxed program, and what its words name."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from runtimes.sandbox.places import (
    Mounts,
    aliases,
    folders_of_interpreter,
    hidden,
    named_below_temporary,
    parse_mounts,
    runs_of_sockets,
)
from tests.runtimes.factories import make_home, make_paths

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = parse_mounts(
    [
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        "22 21 8:2 / /home rw - ext4 /dev/sda2 rw",
        "23 21 8:2 /anna /mnt/anna\\040s rw - ext4 /dev/sda2 rw",
        "24 21 8:2 /anna/.atek/data /srv/data rw - ext4 /dev/sda2 rw",
        "25 21 0:5 / /proc rw - proc proc rw",
    ]
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/anna/.atek", ["/mnt/anna s/.atek"]),
        ("/mnt/anna s/.atek", ["/home/anna/.atek"]),
        ("/home/anna/.atek/data/app", ["/mnt/anna s/.atek/data/app", "/srv/data/app"]),
        ("/var/lib/atek", []),
        ("/home", []),
    ],
)
def test_the_same_folder_by_other_paths(path: str, expected: list[str]) -> None:
    assert sorted(aliases(path, MOUNTS)) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat /tmp/a/file", ["/tmp/a/file"]),
        ("--out=/tmp/a/new", ["/tmp/a"]),
        ("unix:///tmp/a/file", ["/tmp/a/file"]),
        ("sqlite:////tmp/a/db", ["/tmp/a"]),
        ("file:///tmp/a/file", ["/tmp/a/file"]),
        ("PATH=/usr/bin:/tmp/a:/bin", ["/tmp/a"]),
        ("x >/tmp/a/b/c; y '/tmp/a/file'", ["/tmp/a"]),
        ("/tmp/new", []),
        ("/tmp", []),
        ("/tmp/../etc/passwd", []),
        ("/tmp/a/../../etc", []),
        ("/var/tmp/a", []),
        ("./tmp/a", []),
    ],
)
def test_what_is_named_below_tmp(text: str, expected: list[str]) -> None:
    there = {"/tmp", "/tmp/a", "/tmp/a/file"}
    assert named_below_temporary([text], there.__contains__) == expected


def test_what_is_mounted_may_have_any_name() -> None:
    lines = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw",
        "22 21 8:2 /anna /home/\r\x0b\x1c\u2028 rw - ext4 /dev/sda2 rw",
        "23 21 8:2 / /home rw - ext4 /dev/sda2 rw",
    )
    mounts = Mounts("\n".join(lines))
    assert mounts.aliases("/home/anna/.atek") == {"/home/\r\x0b\x1c\u2028/.atek"}
    assert mounts.aliases("/srv") == set()


def test_the_nodes_home_its_runs_and_other_nodes_are_hidden(tmp_path: Path) -> None:
    home, other = make_home(), make_home()
    paths = make_paths(home)
    run = make_paths(other).run
    (run / "control.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(run / "control.sock"))
        control.listen()
        found = hidden(paths)
        assert os.path.realpath(home) in found and os.path.realpath(other) in found
    (run / "control.sock").unlink()


def test_no_program_hides_the_users_folders_by_a_name() -> None:
    lines = [
        "Num RefCount …",
        "0: 2 0 10000 1 1 5 /home/u/photos/run/control.sock",
        "0: 2 0 0 1 1 6",
        "x @control.sock",
    ]
    assert list(runs_of_sockets(lines)) == ["/home/u/photos/run"]


def test_what_an_interpreter_needs(tmp_path: Path) -> None:
    for name in ("bin", "lib", "share"):
        (tmp_path / name).mkdir()
    program = os.fspath(tmp_path / "bin" / "node")
    assert folders_of_interpreter(program) == [f"{tmp_path}/bin", f"{tmp_path}/lib"]
    assert folders_of_interpreter("/opt/x/node") == ["/opt/x"]
